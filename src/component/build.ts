/**
 * Builds artefacts from the Go modules into the cache.
 *
 * A build happens in a folder of its own and appears in the cache by one rename, so that nobody ever
 * sees half of one; what a killed builder left is cleared by the next. Go's own module and build
 * caches make an interrupted build cheap to repeat.
 */
import { mkdir, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import path from 'node:path';
import { StartupError } from '../error/startup-error.ts';
import type { EventOf } from '../event/event.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { acquireLock, isAlive, thisProcess } from './build-lock.ts';
import { type BuildRecord, type CacheEntry, readEntry, recordName, sha256OfFile } from './cache-entry.ts';
import { runGoBuild } from './go-build.ts';
import { findGo, goVersion } from './go-toolchain.ts';
import { type Artefact, manifest as shipped } from './manifest.ts';
import { componentCache, hostGoArch, modulesFolder } from './places.ts';
import { askVersion } from './program-version.ts';
import { entryName, goOs, sourceKey } from './source-key.ts';

export type Progress = EventOf<'component.progress'>;

export interface BuildOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default: all of the manifest. */
  readonly artefacts?: readonly Artefact[];
  readonly cache?: string;
  readonly modules?: string;
  /** Target architecture as Go calls it; default: GOARCH of `env`, else this machine's. */
  readonly goArch?: string | undefined;
  /** Builds again what is already in the cache (it was damaged). */
  readonly force?: boolean;
  /** The Go program; default: from PATH or a usual place. */
  readonly go?: string;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock;
}

export interface BuiltArtefact {
  readonly artefact: string;
  readonly folder: string;
  readonly record: BuildRecord;
  /** False if it was in the cache already. */
  readonly fresh: boolean;
}

/**
 * One artefact after the other (each build uses all cores by itself), the order of the manifest.
 *
 * @throws StartupError ERR_COMPONENT if Go is missing or too old, or a build fails
 * @throws the signal's reason when it aborts; nothing half done is left
 */
export async function buildComponents(options: BuildOptions): Promise<readonly BuiltArtefact[]> {
  const { artefacts = shipped.artefacts } = options;
  const built: BuiltArtefact[] = [];
  for (const artefact of artefacts) built.push(await buildArtefact(artefact, settle(options)));
  return built;
}

type Settled = ReturnType<typeof settle>;

function settle(options: BuildOptions) {
  const { env, go = findGo(env), clock = systemClock, force = false, signal } = options;
  const noProgress = () => undefined;
  return {
    env,
    go,
    clock,
    force,
    signal,
    cache: options.cache ?? componentCache(env),
    modules: options.modules ?? modulesFolder(),
    goArch: options.goArch ?? env['GOARCH'] ?? hostGoArch(),
    onProgress: options.onProgress ?? noProgress,
  };
}

async function buildArtefact(artefact: Artefact, options: Settled): Promise<BuiltArtefact> {
  const { env, go, clock, force, signal, cache, modules, goArch, onProgress } = options;
  const version = await goVersion({ go, moduleFolder: path.join(modules, artefact.module), env, signal });
  const key = sourceKey(artefact, modules, goArch);
  const name = entryName(artefact.name, goArch, key, version);
  const folder = path.join(cache, name);
  const startedMs = clock.monotonicMs();
  const tell = (step: string, estimateMs?: number) => {
    onProgress({
      type: 'component.progress',
      component: artefact.name,
      step,
      elapsedMs: clock.monotonicMs() - startedMs,
      ...(estimateMs === undefined ? {} : { estimateMs }),
    });
  };
  const inCache = () => readEntry(folder);
  const present = force ? undefined : inCache();
  if (present !== undefined) return reused(artefact, present);

  await using lock = await acquireLock(path.join(cache, `.lock-${name}`), {
    clock,
    signal,
    onWait: (holder) => {
      tell(`waiting for the build of process ${holder === undefined ? '(unknown)' : String(holder.pid)}`);
    },
    unneeded: () => inCache() !== undefined,
  });
  // The builder that we waited for has done it.
  const meanwhile = force && lock !== undefined ? undefined : inCache();
  if (meanwhile !== undefined) return reused(artefact, meanwhile);

  await clearLeftovers(cache, name);
  const self = thisProcess();
  const workshop = path.join(cache, `.building-${name}-${String(self.pid)}-${String(self.startTicks)}`);
  await mkdir(workshop, { recursive: true });
  try {
    const estimateMs = estimateBuildMs(artefact);
    await runGoBuild({ artefact, go, env, goArch, modules, output: workshop, clock, signal, tell, estimateMs });
    tell('checking what was built', estimateMs);
    const record = await writeRecord(workshop, artefact, {
      ...options,
      sourceKey: key,
      goVersion: version,
      startedMs,
    });
    if (force) await rm(folder, { recursive: true, force: true });
    await rename(workshop, folder).catch((error: unknown) => {
      // Another builder was first (see build-lock.ts): its result is as good as ours.
      if (inCache() === undefined) throw error;
    });
    tell('built', estimateMs);
    return { artefact: artefact.name, folder, record, fresh: true };
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}

const reused = (artefact: Artefact, { folder, record }: CacheEntry): BuiltArtefact => ({
  artefact: artefact.name,
  folder,
  record,
  fresh: false,
});

/** About how long a build takes with nothing cached: compiling spreads over the cores, linking does not. */
export function estimateBuildMs({ coldSeconds }: Artefact, cores: number = cpus().length): number {
  const measuredCores = 2;
  const serialShare = 0.2;
  return coldSeconds * 1000 * (serialShare + ((1 - serialShare) * measuredCores) / Math.max(cores, 1));
}

/** Workshops of builders that are gone. Called under the lock. */
async function clearLeftovers(cache: string, name: string): Promise<void> {
  const prefix = `.building-${name}-`;
  for (const each of await readdir(cache)) {
    if (!each.startsWith(prefix)) continue;
    const [pid, startTicks] = each.slice(prefix.length).split('-').map(Number);
    if (!isAlive({ pid: pid ?? 0, startTicks: startTicks ?? 0 }))
      await rm(path.join(cache, each), { recursive: true, force: true });
  }
}

interface RecordInput extends Settled {
  readonly sourceKey: string;
  readonly goVersion: string;
  readonly startedMs: number;
}

/** Makes the links, asks each program for its version, and writes down what is there. */
async function writeRecord(workshop: string, artefact: Artefact, input: RecordInput): Promise<BuildRecord> {
  const { goArch, clock, startedMs } = input;
  const files = [];
  for (const name of (await readdir(workshop)).sort()) {
    const file = path.join(workshop, name);
    files.push({ name, size: (await stat(file)).size, sha256: await sha256OfFile(file) });
  }
  const target = artefact.output ?? '';
  const links = (artefact.links ?? []).map((name) => ({ name, target }));
  for (const link of links) await symlink(link.target, path.join(workshop, link.name));
  const record: BuildRecord = {
    format: 1,
    artefact: artefact.name,
    sourceKey: input.sourceKey,
    goOs,
    goArch,
    goVersion: input.goVersion,
    builtAt: new Date(clock.wallMs()).toISOString(),
    elapsedMs: Math.round(clock.monotonicMs() - startedMs),
    files,
    links,
    versions: await versionsOf(workshop, artefact, input),
  };
  await writeFile(path.join(workshop, recordName), JSON.stringify(record, undefined, 2));
  return record;
}

async function versionsOf(
  workshop: string,
  artefact: Artefact,
  options: RecordInput,
): Promise<BuildRecord['versions']> {
  const versions: Record<string, string> = {};
  for (const spec of artefact.programs) {
    // A binary for another machine cannot be asked.
    const canRun = options.goArch === hostGoArch();
    const asked = canRun ? await askVersion(spec, path.join(workshop, spec.name), options) : undefined;
    const version = canRun ? asked?.version : spec.builds;
    if (version === undefined) {
      throw new StartupError('ERR_COMPONENT', `cannot use the built ${spec.name}: it does not run`, {
        component: artefact.name,
        hint: `Run \`${spec.name} ${spec.version.args.join(' ')}\` of a build by hand to see why.`,
      });
    }
    versions[spec.name] = version;
  }
  return versions;
}
