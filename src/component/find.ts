/**
 * Finds the programs that a cluster is made of, and says of each where it comes from, its version,
 * and whether the rest can work with it. Nothing is built or changed here.
 *
 * Order: --bin-dir, <data-dir>/bin, the cache of our builds, PATH. What the user names by --bin-dir
 * is taken even if it is unsupported (and reported); elsewhere an unsupported version is passed over
 * for a supported one further on, because a distribution's old containerd on PATH is no wish.
 */
import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { type Clock } from '../kernel/clock.ts';
import { cachedBuild, type CacheEntry, looksWhole } from './cache-entry.ts';
import { type Artefact, kubernetesVersion, manifest as shipped, type Manifest, type ProgramSpec } from './manifest.ts';
import { componentCache, hostGoArch, modulesFolder } from './places.ts';
import { versionReader } from './program-version.ts';
import type { ComponentReport, FoundProgram, MissingProgram, Origin, ProgramStatus } from './report.ts';
import { checkSupport, type Support } from './support.ts';

export interface FindOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly binDir?: string | undefined;
  readonly dataDir?: string | undefined;
  /** Default: the user's cache folder. */
  readonly cache?: string;
  /** Default: the modules shipped with this package. */
  readonly modules?: string;
  readonly manifest?: Manifest;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock;
}

/** Where system programs are, although the PATH of some users does not say so. Source: FHS 3.0. */
const systemFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

interface Wanted {
  readonly spec: ProgramSpec;
  readonly artefact?: Artefact;
  readonly package?: string;
}

interface Candidate {
  readonly file: string;
  readonly origin: Origin;
  /** Known without running it: written down when it was built. */
  readonly version?: string | undefined;
}

/**
 * @throws StartupError ERR_COMPONENT if the package's Go modules are gone
 * @throws the signal's reason when it aborts
 */
export async function findComponents(options: FindOptions): Promise<ComponentReport> {
  const { env, manifest = shipped, cache = componentCache(env), modules = modulesFolder() } = options;
  const goArch = hostGoArch();
  const builds = new Map<string, CacheEntry>();
  for (const artefact of manifest.artefacts) {
    const entry = cachedBuild(artefact, { cache, modules, goArch });
    if (entry !== undefined) builds.set(artefact.name, entry);
  }
  const versions = versionReader({ ...options, cache });

  const find = async (wanted: Wanted, apiServer: string): Promise<ProgramStatus> => {
    const { spec } = wanted;
    const unsuited: FoundProgram[] = [];
    for (const candidate of candidates(wanted, options, builds)) {
      const { recognised, version } =
        candidate.version === undefined
          ? await versions.read(spec, candidate.file)
          : { recognised: true, version: candidate.version };
      const support: Support = recognised
        ? checkSupport(spec.rule, version, apiServer)
        : {
            supported: false,
            reason: `it does not answer \`${[spec.name, ...spec.version.args].join(' ')}\` as ${spec.name} does`,
          };
      const found: FoundProgram = {
        status: 'found',
        program: spec.name,
        role: spec.role,
        ...(wanted.artefact === undefined ? {} : { artefact: wanted.artefact.name }),
        path: candidate.file,
        origin: candidate.origin,
        ...(version === undefined ? {} : { version }),
        support,
        passedOver: unsuited.map(describePassedOver),
      };
      if (support.supported || candidate.origin === 'bin-dir') return found;
      unsuited.push(found);
    }
    return unsuited[0] ?? missing(wanted, folders(wanted, options, cache));
  };

  const wanted = everything(manifest);
  const server = wanted.find(({ spec }) => spec.name === 'kube-apiserver');
  const serverStatus = server && (await find(server, kubernetesVersion));
  const apiServer = (serverStatus?.status === 'found' ? serverStatus.version : undefined) ?? kubernetesVersion;
  const programs = await Promise.all(
    wanted.map(async (each) => (each === server && serverStatus ? serverStatus : await find(each, apiServer))),
  );
  await versions.save();
  return { kubernetesVersion: apiServer, programs };
}

function everything(manifest: Manifest): readonly Wanted[] {
  return [
    ...manifest.artefacts.flatMap((artefact) => artefact.programs.map((spec) => ({ spec, artefact }))),
    ...manifest.distribution.map((spec) => ({ spec, package: spec.package })),
  ];
}

/** Existing executables of that name, in the order of preference, each file once. */
function* candidates(
  { spec, artefact }: Wanted,
  options: FindOptions,
  builds: ReadonlyMap<string, CacheEntry>,
): Generator<Candidate> {
  const { binDir, dataDir, env } = options;
  for (const [folder, origin] of [
    [binDir, 'bin-dir'],
    [dataDir && path.join(dataDir, 'bin'), 'data-dir'],
  ] as const) {
    const file = folder && path.resolve(folder, spec.name);
    if (file && isExecutable(file)) yield { file, origin };
  }
  const build = artefact && builds.get(artefact.name);
  if (build !== undefined && looksWhole(build, spec.name)) {
    yield { file: path.join(build.folder, spec.name), origin: 'cache', version: build.record.versions[spec.name] };
  }
  for (const folder of pathFolders(env, spec)) {
    const file = path.join(folder, spec.name);
    if (isExecutable(file)) yield { file, origin: 'path' };
  }
}

function pathFolders(env: FindOptions['env'], spec: ProgramSpec): readonly string[] {
  // An empty or relative word of PATH means the working directory: never run a program from there.
  const onPath = (env['PATH'] ?? '').split(':').filter((folder) => path.isAbsolute(folder));
  return [...new Set([...onPath, ...systemFolders, ...(spec.alsoIn ?? [])])];
}

/**
 * Synchronous: some hundred looks, each of which would wait longer for a thread than it takes. Most
 * find nothing, which is no error to be made for each.
 */
function isExecutable(file: string): boolean {
  try {
    if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true) return false;
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function folders({ spec, artefact }: Wanted, { binDir, dataDir, env }: FindOptions, cache: string): readonly string[] {
  return [
    ...(binDir === undefined ? [] : [path.resolve(binDir)]),
    ...(dataDir === undefined ? [] : [path.resolve(dataDir, 'bin')]),
    ...(artefact === undefined ? [] : [cache]),
    ...pathFolders(env, spec),
  ];
}

function missing(wanted: Wanted, lookedIn: readonly string[]): MissingProgram {
  const { spec, artefact } = wanted;
  return {
    status: 'missing',
    program: spec.name,
    role: spec.role,
    ...(artefact === undefined ? {} : { artefact: artefact.name }),
    lookedIn,
    remedy:
      artefact === undefined
        ? `install the package ${wanted.package ?? spec.name} (Debian and Ubuntu: apt-get install ${wanted.package ?? spec.name})`
        : `k3s-lite components build ${artefact.name}`,
  };
}

function describePassedOver({ path: file, version, support }: FoundProgram): string {
  return `${file} (${version ?? 'unknown version'}): ${support.supported ? '' : support.reason}`;
}
