/**
 * `<dataDir>/version.json`: who last wrote a data directory, and for which node. It is read before
 * anything is touched: data of a newer k3s-lite, Kubernetes or etcd is refused, because an older one
 * may misread what it does not know and write it back mutilated. What else has changed since the
 * last start (a newer version, another address or name of the machine) is said.
 *
 * A file that cannot be read is no reason not to start: what guards the data itself (etcd refuses a
 * newer storage version) is still there.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { writeAtomicallySync } from '../kernel/stored-file.ts';
import { compareVersions, parseVersion } from '../component/version.ts';
import { StartupError } from '../error/startup-error.ts';
import { messageOf } from '../kernel/message-of.ts';

/** Raised when an older k3s-lite could no longer use what a newer one has stored. */
export const dataLayout = 1;

const recordSchema = z.object({
  layout: z.number().int().min(1),
  k3sLite: z.string(),
  kubernetes: z.string().optional(),
  etcd: z.string().optional(),
  nodeName: z.string().optional(),
  nodeIp: z.string().optional(),
});

export type DataRecord = z.output<typeof recordSchema>;

/** What the last start recorded; undefined when there is none that can be read. */
export function readDataRecord(dataDir: string): DataRecord | undefined {
  try {
    return recordSchema.safeParse(JSON.parse(readFileSync(path.join(dataDir, 'version.json'), 'utf8'))).data;
  } catch {
    return undefined;
  }
}

/** Of a newer layout only this much is understood. */
const newerSchema = z.object({ layout: z.number().int(), k3sLite: z.string().optional() });

/** What is started now. Absent: it is not part of this start, and what was recorded of it stays. */
export type Present = Omit<DataRecord, 'layout'>;

export interface Remark {
  readonly level: 'info' | 'warning';
  readonly text: string;
}

export interface OpenedData {
  /** What a person should know before units start. */
  readonly remarks: readonly Remark[];
  /** Records this start, if it differs from the last; the file system's error if it cannot. */
  record(): void;
}

export interface DataOptions {
  readonly dataDir: string;
  readonly present: Present;
  /** Take data of a newer Kubernetes or etcd; never of a newer layout. */
  readonly allowDowngrade: boolean;
}

/**
 * Only reads; nothing of the directory needs to be there.
 *
 * @throws StartupError ERR_DATA_VERSION when the data is of something newer
 */
export function openData({ dataDir, present, allowDowngrade }: DataOptions): OpenedData {
  const file = path.join(dataDir, 'version.json');
  const { record: before, problem } = read(file, dataDir, present);
  if (before !== undefined && !allowDowngrade) refuseDowngrade(dataDir, before, present);
  const now: DataRecord = { ...before, ...present, layout: dataLayout };
  return {
    remarks: problem === undefined ? changesOf(before, present) : [{ level: 'warning', text: problem }],
    record() {
      if (JSON.stringify(before) === JSON.stringify(now)) return;
      writeAtomicallySync(file, `${JSON.stringify(now)}\n`, 0o600);
    },
  };
}

function read(file: string, dataDir: string, present: Present): { record?: DataRecord; problem?: string } {
  const unreadable = (reason: string) => ({
    problem: `${file} does not say which version wrote this data (${reason}): it is used as it is, and the file is written anew`,
  });
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    return unreadable(messageOf(error));
  }
  const newer = newerSchema.safeParse(content);
  if (newer.success && newer.data.layout > dataLayout) throw newerLayout(dataDir, newer.data, present);
  const parsed = recordSchema.safeParse(content);
  if (parsed.success) return { record: parsed.data };
  const [issue] = parsed.error.issues;
  return unreadable(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
}

function newerLayout(dataDir: string, { layout, k3sLite }: z.output<typeof newerSchema>, present: Present) {
  const writer = `k3s-lite ${k3sLite ?? 'of a newer version'}`;
  return new StartupError(
    'ERR_DATA_VERSION',
    `cannot use ${dataDir}: ${writer} wrote it in layout ${String(layout)}, and this is ${present.k3sLite}, which knows layout ${String(dataLayout)}`,
    {
      dataDir,
      layout,
      hint: `use ${writer} or newer, or restore a backup from before the upgrade into another --data-dir`,
    },
  );
}

/** Both promise to read what the minor version before them wrote, and neither what the one after them did. */
function refuseDowngrade(dataDir: string, before: DataRecord, present: Present): void {
  for (const [key, name] of [
    ['kubernetes', 'Kubernetes'],
    ['etcd', 'etcd'],
  ] as const) {
    const [was, is] = [before[key], present[key]];
    if (was === undefined || is === undefined || !isOlderMinor(is, was)) continue;
    throw new StartupError(
      'ERR_DATA_VERSION',
      `cannot use ${dataDir}: ${name} ${was} wrote it, and ${name} ${is} may not understand what a newer one has stored`,
      {
        dataDir,
        component: name,
        wrote: was,
        present: is,
        hint: `use ${name} ${minorOf(was)} or newer (\`k3s-lite components list\` says which is taken from where), or restore a backup from before the upgrade; --allow-downgrade starts anyway`,
      },
    );
  }
}

function isOlderMinor(is: string, was: string): boolean {
  const [a, b] = [parseVersion(is), parseVersion(was)];
  return a !== undefined && b !== undefined && compareVersions({ ...a, patch: 0 }, { ...b, patch: 0 }) < 0;
}

const minorOf = (version: string): string => version.split('.').slice(0, 2).join('.');

/** One line for each thing that is not as it was. */
function changesOf(before: DataRecord | undefined, present: Present): readonly Remark[] {
  if (before === undefined) return [];
  const remarks: Remark[] = [];
  const compare = (key: keyof Present, tell: (was: string, is: string) => Remark) => {
    const [was, is] = [before[key], present[key]];
    if (was !== undefined && is !== undefined && was !== is) remarks.push(tell(was, is));
  };
  const version = (name: string) => (was: string, is: string) =>
    ({ level: 'info', text: `the data was written by ${name} ${was}; this is ${is}` }) as const;
  compare('k3sLite', version('k3s-lite'));
  compare('kubernetes', version('Kubernetes'));
  compare('etcd', version('etcd'));
  compare('nodeIp', (was, is) => ({
    level: 'info',
    text: `this node’s address is ${is} and was ${was} at the last start: certificates, Node and endpoints are changed to it`,
  }));
  compare('nodeName', (was, is) => ({
    level: 'warning',
    text: `this node is called ${is} and was called ${was} at the last start: pods of ${was} stay bound to it until \`k3s-lite kubectl delete node ${was}\`, or until --node-name gives it its name back`,
  }));
  return remarks;
}
