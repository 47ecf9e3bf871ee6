/** `k3s-lite components list|build|verify|export|import`: the real binaries. */
import * as z from 'zod';
import type { BuildOptions } from '../../component/build.ts';
import { type Artefact, manifest } from '../../component/manifest.ts';
import { componentCache } from '../../component/places.ts';
import { type ComponentReport, isUsable } from '../../component/report.ts';
import { exitCode, type ExitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import { nearestName } from '../../kernel/nearest.ts';
import type { CommandInput, CommandRun } from '../command.ts';
import { progressPrinter } from './component-progress.ts';
import { renderBuilds, renderComponents, renderVerified } from './component-table.ts';

const optionsSchema = z.object({
  binDir: z.string().optional(),
  dataDir: z.string().optional(),
  arch: z
    .string()
    .regex(/^[a-z0-9]+$/, 'an architecture as Go calls it, like arm64')
    .optional(),
  all: z.boolean().default(false),
  force: z.boolean().default(false),
  json: z.boolean().default(false),
});

interface Call extends CommandInput {
  /** What follows the verb. */
  readonly rest: readonly string[];
  readonly given: z.infer<typeof optionsSchema>;
}

const verbs: Readonly<Record<string, (call: Call) => Promise<ExitCode>>> = {
  list,
  build,
  verify,
  export: exportTo,
  import: importFrom,
};

export const run: CommandRun = async (input) => {
  const parsed = optionsSchema.safeParse(input.options);
  if (!parsed.success) throw usage(z.prettifyError(parsed.error));
  const [verb = 'list', ...rest] = input.args;
  const action = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (action === undefined) {
    const near = nearestName(verb, Object.keys(verbs));
    throw usage(
      `unknown word ${JSON.stringify(verb)}${near === undefined ? '' : `, did you mean ${near}`}? It is one of ${Object.keys(verbs).join(', ')}`,
    );
  }
  return action({ ...input, rest, given: parsed.data });
};

async function list(call: Call): Promise<ExitCode> {
  const report = await findAll(call);
  call.io.out(call.given.json ? toJson(report) : renderComponents(report, call.io.colour));
  return exitCode.ok;
}

async function build(call: Call): Promise<ExitCode> {
  const { given, io, env, signal } = call;
  const artefacts = await toBuild(call);
  const options: BuildOptions = { env, artefacts, goArch: given.arch, force: given.force, signal };
  const { buildComponents, estimateBuildMs } = await import('../../component/build.ts');
  using progress = progressPrinter(io, {
    count: artefacts.length,
    totalMs: artefacts.reduce((sum, artefact) => sum + estimateBuildMs(artefact), 0),
  });
  const built = await buildComponents({ ...options, onProgress: progress.show });
  progress[Symbol.dispose]();
  io.out(
    given.json
      ? toJson({ builds: built.map(({ record, ...each }) => ({ ...each, versions: record.versions })) })
      : renderBuilds(built, given.arch),
  );
  return exitCode.ok;
}

/** The named artefacts; else all with --all or for another machine; else those of which something is missing. */
async function toBuild(call: Call): Promise<readonly Artefact[]> {
  const { rest, given } = call;
  if (rest.length > 0) return rest.map(artefactNamed);
  if (given.all || given.force || given.arch !== undefined) return manifest.artefacts;
  const { programs } = await findAll(call);
  const lacking = new Set(programs.filter((each) => !isUsable(each)).map(({ artefact }) => artefact));
  return manifest.artefacts.filter(({ name }) => lacking.has(name));
}

function artefactNamed(name: string): Artefact {
  const artefact = manifest.artefacts.find(
    (each) => each.name === name || each.programs.some((program) => program.name === name),
  );
  if (artefact !== undefined) return artefact;
  const near = nearestName(
    name,
    manifest.artefacts.flatMap((each) => [each.name, ...each.programs.map((program) => program.name)]),
  );
  throw usage(`${JSON.stringify(name)} is nothing we build${near === undefined ? '' : `, did you mean ${near}?`}`);
}

async function verify({ io, env, given }: Call): Promise<ExitCode> {
  const { verifyComponents } = await import('../../component/verify.ts');
  const verified = await verifyComponents(componentCache(env));
  io.out(given.json ? toJson({ builds: verified }) : renderVerified(verified));
  const damaged = verified.filter(({ damage }) => damage.length > 0);
  if (damaged.length === 0) return exitCode.ok;
  throw new StartupError(
    'ERR_COMPONENT',
    `cannot trust ${damaged.map(({ artefact }) => artefact).join(', ')}: damaged`,
    {
      component: damaged.map(({ artefact }) => artefact).join(', '),
      hint: `k3s-lite components build --force ${damaged.map(({ artefact }) => artefact).join(' ')}`,
    },
  );
}

async function exportTo({ rest, io, env, given, signal }: Call): Promise<ExitCode> {
  const file = onlyFile('export', rest);
  const { exportComponents } = await import('../../component/export.ts');
  const exported = await exportComponents({ file, env, goArch: given.arch, signal });
  io.out(
    given.json ? toJson(exported) : `${exported.builds.map((each) => each.artefact).join(', ')} → ${exported.file}\n`,
  );
  return exitCode.ok;
}

async function importFrom({ rest, io, env, given, signal }: Call): Promise<ExitCode> {
  const file = onlyFile('import', rest);
  const { importComponents } = await import('../../component/import.ts');
  const imported = await importComponents({ file, env, signal });
  if (given.json) io.out(toJson({ builds: imported }));
  for (const { artefact, folder, fresh, unusable } of given.json ? [] : imported) {
    io.out(`${artefact}: ${fresh ? 'imported' : 'already there'}, ${folder}\n`);
    if (unusable !== undefined) io.err(`warning: ${artefact} will not be used: ${unusable}\n`);
  }
  return exitCode.ok;
}

async function findAll({ env, given, signal }: Call): Promise<ComponentReport> {
  const { findComponents } = await import('../../component/find.ts');
  return findComponents({ env, binDir: given.binDir, dataDir: given.dataDir, signal });
}

function onlyFile(verb: string, rest: readonly string[]): string {
  const [file, ...more] = rest;
  if (file === undefined || more.length > 0) throw usage(`\`components ${verb}\` takes one FILE`);
  return file;
}

const toJson = (value: object) => `${JSON.stringify(value, undefined, 2)}\n`;

const usage = (message: string) => new StartupError('ERR_USAGE', message, {});
