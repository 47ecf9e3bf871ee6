/**
 * nftables tables that others leave empty: the CNI plugins never remove theirs, and kube-proxy looks
 * for old iptables rules at its start, which makes the tables it looks into. Which tables were there
 * before is kept on disk; of the others, those that hold no rule go again.
 */
import { mkdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import type { BuiltinContext } from '../unit/builtin.ts';
import { layoutOf } from './layout.ts';
import type { Settings } from './settings.ts';
import { readIfThere, writeAtomically } from '../kernel/stored-file.ts';

type Run = BuiltinContext['run'];

export interface Table {
  readonly family: string;
  readonly name: string;
}

/** Tables that our programs make. Source: containernetworking/plugins 1.9 nftables back ends; iptables-nft. */
const ours = new Set(['cni_plugins_masquerade', 'cni_hostport', 'nat', 'filter', 'mangle', 'raw', 'security']);

export const tablesFile = (settings: Settings): string => path.join(layoutOf(settings).undoState, 'nft-tables');

/** Reads the output of `nft list tables`: lines like "table ip nat". */
export function parseTables(output: string): readonly Table[] {
  return [...output.matchAll(/^table (\S+) (\S+)$/gm)].map(([, family = '', name = '']) => ({ family, name }));
}

/** Is there no rule in what `nft list table` printed? Chains, their hooks and policies, and comments are not rules. */
export function isEmptyTable(listing: string): boolean {
  return listing
    .split('\n')
    .map((line) => line.trim())
    .every(
      (line) => /^(}|)$|^(table|chain) |^comment |^type \S+ hook .* policy accept;$/.test(line) || fixedRule.has(line),
    );
}

/** Rules that the masquerade table always has, whether or not there is a pod. */
const fixedRule = new Set(['ip daddr 224.0.0.0/4 return', 'ip6 daddr ff00::/8 return', 'goto masq_checks']);

/** Keeps the names of all tables, unless an earlier start that was not undone has. */
export async function rememberTables(run: Run, file: string): Promise<void> {
  if ((await readIfThere(file)) !== undefined) return;
  await mkdir(path.dirname(file), { recursive: true });
  await writeAtomically(file, await listTables(run), 0o644);
}

export async function removeEmptyTables(run: Run, file: string): Promise<void> {
  const before = await readIfThere(file);
  if (before === undefined) return;
  const kept = new Set(parseTables(before).map(({ family, name }) => `${family} ${name}`));
  for (const table of parseTables(await listTables(run))) {
    if (!ours.has(table.name) || kept.has(`${table.family} ${table.name}`)) continue;
    const { output } = await run(['nft', 'list', 'table', table.family, table.name]);
    if (isEmptyTable(output)) await deleteTable(run, table);
  }
  await unlink(file);
}

/** @returns false when there is no such table (or no nft, so no table either) */
export async function deleteTable(run: Run, { family, name }: Table): Promise<boolean> {
  const { exit } = await withoutNft(() => run(['nft', 'delete', 'table', family, name]), noNft);
  return exit.kind === 'code' && exit.code === 0;
}

async function listTables(run: Run): Promise<string> {
  return (await withoutNft(() => run(['nft', 'list', 'tables']), noNft)).output;
}

const noNft = { exit: { kind: 'code', code: 127 }, output: '' } as const;

async function withoutNft<T>(work: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return otherwise;
    throw error;
  }
}
