/** `k3s-lite etcd-snapshot save|list|restore|prune`. Names and flags are K3s's where they mean the same. */
import * as z from 'zod';
import { listAll, pruneAll, restoreNow, saveNow } from '../../app/etcd-snapshots.ts';
import type { Snapshot } from '../../cluster/etcd/snapshot-folder.ts';
import { exitCode, type ExitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import { formatBytes } from '../../kernel/bytes.ts';
import { nearestName } from '../../kernel/nearest.ts';
import type { CommandInput, CommandRun } from '../command.ts';
import { configurationOf } from '../configuration-of.ts';
import { paintedTable } from './painted-table.ts';

const optionsSchema = z.object({
  name: z.string().optional(),
  etcdSnapshotRetention: z.coerce.number().int().min(1).default(5),
  json: z.boolean().default(false),
});
type Given = z.infer<typeof optionsSchema>;

const verbs: Readonly<
  Record<string, (input: CommandInput, given: Given, words: readonly string[]) => Promise<ExitCode>>
> = {
  save,
  list,
  restore,
  prune,
};

/** Source: K3s's default for snapshots by hand. */
const onDemand = 'on-demand';

export const run: CommandRun = async (input) => {
  const parsed = optionsSchema.safeParse(input.options);
  if (!parsed.success) throw usage(z.prettifyError(parsed.error));
  const [verb = '', ...words] = input.args;
  const action = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (action === undefined) {
    const near = nearestName(verb, Object.keys(verbs));
    const hint = near === undefined ? '' : `, did you mean ${near}`;
    throw usage(`there is no \`k3s-lite etcd-snapshot ${verb}\`${hint}? It is one of ${Object.keys(verbs).join(', ')}`);
  }
  return action(input, parsed.data, words);
};

const placeOf = async (input: CommandInput) => {
  const { env, cwd, signal } = input;
  return { configuration: await configurationOf(input), env, cwd, signal };
};

async function save(input: CommandInput, { name = onDemand, json }: Given): Promise<ExitCode> {
  const saved = await saveNow(await placeOf(input), name);
  input.io.out(json ? toJson(saved) : `saved ${saved.name}, ${formatBytes(saved.sizeBytes)}: ${saved.file}\n`);
  return exitCode.ok;
}

async function list(input: CommandInput, { json }: Given): Promise<ExitCode> {
  const snapshots = await listAll(await placeOf(input));
  input.io.out(json ? toJson(snapshots) : table(snapshots));
  return exitCode.ok;
}

async function prune(input: CommandInput, { name, etcdSnapshotRetention: keep, json }: Given): Promise<ExitCode> {
  const removed = await pruneAll(await placeOf(input), { keep, name });
  const lines = removed.map((snapshot) => `removed ${snapshot.name}\n`);
  input.io.out(json ? toJson(removed) : lines.length === 0 ? 'nothing to remove\n' : lines.join(''));
  return exitCode.ok;
}

async function restore(input: CommandInput, { json }: Given, [name]: readonly string[]): Promise<ExitCode> {
  if (name === undefined) throw usage('which snapshot? `k3s-lite etcd-snapshot restore NAME`, or the path of a file');
  const restored = await restoreNow(await placeOf(input), name);
  if (json) input.io.out(toJson(restored));
  else {
    input.io.out(
      `etcd has what ${restored.file} holds${restored.kept === undefined ? '' : `; what it had before is in ${restored.kept}`}\n` +
        'Start k3s-lite here. Each other server has to be stopped, its server/db/etcd removed, and started again with --server.\n',
    );
  }
  return exitCode.ok;
}

function table(snapshots: readonly Snapshot[]): string {
  if (snapshots.length === 0) return 'no snapshots\n';
  const rows = snapshots.map(({ name, sizeBytes, createdMs, record, file }) => ({
    cells: [
      name,
      formatBytes(sizeBytes),
      new Date(createdMs).toISOString().replace(/\.\d+Z$/, 'Z'),
      record?.nodeName ?? '-',
      record === undefined ? '-' : `>=${String(record.revision)}`,
      file,
    ],
    paint: (cell: string) => cell,
  }));
  const header = ['NAME', 'SIZE', 'CREATED', 'NODE', 'REVISION', 'FILE'];
  return paintedTable({ header, rows, painted: 0, dim: (line) => line })
    .map((line) => `${line}\n`)
    .join('');
}

const toJson = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;
const usage = (message: string): StartupError => new StartupError('ERR_USAGE', message, {});
