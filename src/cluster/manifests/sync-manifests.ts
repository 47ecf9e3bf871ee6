/**
 * Brings the API in line with the manifests folder, one look after another: applies what is new,
 * changed or failed before, deletes what files no longer hold. A file that fails is tried again
 * later and keeps nobody up.
 */
import { backoffDelayMs } from '../../kernel/backoff.ts';
import type { Clock } from '../../kernel/clock.ts';
import { KubeApiError } from '../kube-client.ts';
import { UnknownKindError } from './api-paths.ts';
import type { ManifestFile, ManifestFolder } from './manifest-folder.ts';
import { rankOf, type ManifestObjects } from './manifest-objects.ts';
import type { ManifestRecord } from './manifest-record.ts';
import { keyOf, nameOf, parseManifest, type ObjectRef, type ParsedManifest } from './parse-manifest.ts';

const retryPace = { firstMs: 1000, factor: 2, maxMs: 60_000, jitter: 0.2 };

export interface SyncOptions {
  readonly clock: Clock;
  /** Changed in place; `save` keeps it. */
  readonly record: ManifestRecord;
  readonly save: () => Promise<void>;
  /** Called when there is something to do; disposed of after it. */
  readonly connect: () => Promise<ManifestObjects & Disposable>;
  readonly log: (line: string) => void;
}

export interface SyncReport {
  readonly files: number;
  readonly objects: number;
  /** What is wrong, by file: the first of its mistakes. */
  readonly failures: ReadonlyMap<string, string>;
  /** When the next failed file is tried again, by the monotonic clock. */
  readonly retryAtMs: number | undefined;
}

interface Failure {
  readonly hash: string;
  readonly message: string;
  readonly attempts: number;
  retryAtMs: number;
}

/** One look. @throws the connection's error when the API server is away; what was done by then stays done */
export type Sync = (folder: ManifestFolder, signal: AbortSignal) => Promise<SyncReport>;

export function manifestSync({ clock, record, save, connect, log }: SyncOptions): Sync {
  const applied = new Map<string, string>();
  const failed = new Map<string, Failure>();
  const parsed = new Map<string, { readonly hash: string; readonly manifest: ParsedManifest }>();

  const read = ({ name, hash, text }: ManifestFile): ParsedManifest => {
    const known = parsed.get(name);
    if (known?.hash === hash) return known.manifest;
    const manifest = parseManifest(text);
    parsed.set(name, { hash, manifest });
    return manifest;
  };
  const isDue = ({ name, hash }: ManifestFile): boolean => {
    if (applied.get(name) === hash) return false;
    const failure = failed.get(name);
    return failure?.hash !== hash || failure.retryAtMs <= clock.monotonicMs();
  };

  return async (folder, signal) => {
    const present = new Map(folder.files.map((file) => [file.name, { file, manifest: read(file) }]));
    const due = [...present.values()].filter(({ file }) => isDue(file));
    const problems = new Map<string, string[]>();
    const fail = (name: string, message: string) => problems.set(name, [...(problems.get(name) ?? []), message]);
    for (const { file, manifest } of due) {
      for (const { line, column, message } of manifest.mistakes ?? []) {
        fail(file.name, `${file.name}:${String(line)}:${String(column)}: ${message}`);
      }
    }
    const whole = due.filter(({ file }) => !problems.has(file.name));
    const isGone = (name: string) => !present.has(name) && !folder.skipped.has(name) && !folder.unreadable.has(name);
    if (whole.length > 0 || [...record.keys()].some(isGone)) {
      using objects = await connect();
      await apply(objects, whole, { fail, signal });
      const changed = whole.filter(({ file }) => !problems.has(file.name)).map(({ file }) => file.name);
      await prune(objects, [...changed, ...[...record.keys()].filter(isGone)], { present, fail, signal });
    }
    for (const { file } of due) settle(file, problems.get(file.name));
    for (const name of [...failed.keys()]) if (!present.has(name)) failed.delete(name);
    for (const name of [...applied.keys()]) if (!present.has(name)) applied.delete(name);
    return reportOf(present.size, folder, problems);
  };

  interface Work {
    readonly fail: (file: string, message: string) => void;
    readonly signal: AbortSignal;
  }
  interface Present {
    readonly file: ManifestFile;
    readonly manifest: ParsedManifest;
  }

  async function apply(objects: ManifestObjects, files: readonly Present[], { fail, signal }: Work): Promise<void> {
    // Before anything is made: a crash must not leave an object that no record knows.
    for (const { file, manifest } of files) {
      const refs = (manifest.objects ?? []).map(({ ref }) => ref);
      record.set(file.name, unique([...(record.get(file.name) ?? []), ...refs]));
    }
    await save();
    const steps = files.flatMap(({ file, manifest }) =>
      (manifest.objects ?? []).map((object) => ({ file: file.name, object })),
    );
    steps.sort((a, b) => rankOf(a.object.ref) - rankOf(b.object.ref));
    for (const { file, object } of steps) {
      const place = `${file}:${String(object.line)}: ${nameOf(object.ref)}`;
      try {
        if (await objects.apply(file, object, signal)) continue;
        const others = record.get(file)?.filter((ref) => keyOf(ref) !== keyOf(object.ref)) ?? [];
        record.set(file, others);
        log(`${place} was there before: it is changed, and stays when the file goes`);
      } catch (error) {
        fail(file, `${place}: ${refusalOf(error, signal)}`);
      }
    }
  }

  /** Deletes what the files' records hold and no file does. */
  async function prune(
    objects: ManifestObjects,
    names: readonly string[],
    { present, fail, signal }: Work & { readonly present: ReadonlyMap<string, Present> },
  ): Promise<void> {
    const wanted = new Set<string>();
    for (const { file, manifest } of present.values()) {
      const refs = manifest.objects?.map(({ ref }) => ref) ?? record.get(file.name) ?? [];
      for (const ref of refs) wanted.add(keyOf(ref));
    }
    // Of skipped and unreadable files it is not known what they hold by now: nothing of them goes.
    for (const [name, refs] of record) {
      if (!present.has(name) && !names.includes(name)) for (const ref of refs) wanted.add(keyOf(ref));
    }
    for (const name of names) {
      const own = new Set(present.get(name)?.manifest.objects?.map(({ ref }) => keyOf(ref)));
      const left: ObjectRef[] = [];
      // What came last goes first: a namespace after what is in it.
      for (const ref of [...(record.get(name) ?? [])].reverse()) {
        const key = keyOf(ref);
        if (own.has(key)) left.unshift(ref);
        if (own.has(key) || wanted.has(key)) continue;
        try {
          if (await objects.deleteMade(name, ref, signal)) log(`deleted ${nameOf(ref)}: ${name} no longer holds it`);
        } catch (error) {
          left.unshift(ref);
          fail(name, `${name}: cannot delete ${nameOf(ref)}: ${refusalOf(error, signal)}`);
        }
      }
      if (left.length > 0) record.set(name, left);
      else record.delete(name);
    }
    await save();
  }

  function settle({ name, hash }: ManifestFile, messages: readonly string[] | undefined): void {
    const before = failed.get(name);
    if (messages === undefined) {
      const count = parsed.get(name)?.manifest.objects?.length ?? 0;
      log(`applied ${name}: ${String(count)} object${count === 1 ? '' : 's'}`);
      applied.set(name, hash);
      failed.delete(name);
      // Another file may have waited for just this one (a namespace, a kind).
      const soonMs = clock.monotonicMs() + retryPace.firstMs;
      for (const failure of failed.values()) failure.retryAtMs = Math.min(failure.retryAtMs, soonMs);
      return;
    }
    const message = messages.join('\n');
    const attempts = before?.hash === hash ? before.attempts + 1 : 1;
    if (before?.message !== message) for (const line of messages) log(line);
    const delayMs = backoffDelayMs(retryPace, attempts, Math.random);
    failed.set(name, { hash, message, attempts, retryAtMs: clock.monotonicMs() + delayMs });
  }

  function reportOf(
    files: number,
    { unreadable }: ManifestFolder,
    problems: ReadonlyMap<string, string[]>,
  ): SyncReport {
    const failures = new Map<string, string>();
    for (const [name, { message }] of failed) failures.set(name, message.split('\n')[0] ?? '');
    // Files that are gone have no entry of their own: they are looked at again each time.
    for (const [name, [first = '']] of problems) if (!failures.has(name)) failures.set(name, first);
    for (const [name, reason] of unreadable) failures.set(name, `${name}: ${reason}`);
    const times = [...failed.values()].map(({ retryAtMs }) => retryAtMs);
    return {
      files: files + unreadable.size,
      objects: [...applied.keys()].reduce((sum, name) => sum + (parsed.get(name)?.manifest.objects?.length ?? 0), 0),
      failures,
      retryAtMs: times.length === 0 ? undefined : Math.min(...times),
    };
  }
}

/** @throws `error` itself when it says nothing about the object: the server is away, or we are to end */
function refusalOf(error: unknown, signal: AbortSignal): string {
  signal.throwIfAborted();
  if (error instanceof KubeApiError && error.status !== 429 && error.status !== 503) return error.message;
  if (error instanceof UnknownKindError) return error.message;
  if (error instanceof Error && !('code' in error) && !(error instanceof KubeApiError)) return error.message;
  throw error;
}

function unique(refs: readonly ObjectRef[]): ObjectRef[] {
  return [...new Map(refs.map((ref) => [keyOf(ref), ref])).values()];
}
