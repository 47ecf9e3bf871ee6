/**
 * The API of the simulation: Leases and one assignment, by compare-and-swap, over a network that
 * loses, delays, hangs, refuses, and commits what it then says nothing of.
 */
import { classify, type ApiFailure, type Verdict } from '../../../src/vip/coordination/error-class.ts';
import type { LeaseDraft, LeaseRecord } from '../../../src/vip/coordination/lease-model.ts';
import { noAssignment, type StoredAssignment } from '../../../src/vip/coordination/stored-assignment.ts';
import type { Stored } from '../../../src/vip/coordination/coordinator-model.ts';
import type { EventQueue } from './events.ts';

export type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly verdict: Verdict };

const conflict: ApiFailure = {
  kind: 'refused',
  status: 409,
  reason: 'Conflict',
  message: 'the object has been modified',
};
const etcdErrors: readonly ApiFailure[] = [
  { kind: 'refused', status: 500, reason: '', message: 'etcdserver: request timed out' },
  { kind: 'refused', status: 500, reason: '', message: 'etcdserver: leader changed' },
  { kind: 'refused', status: 500, reason: '', message: 'etcdserver: no leader' },
  { kind: 'refused', status: 503, reason: '', message: 'apiserver is shutting down' },
  { kind: 'network', code: 'ECONNRESET', message: 'socket hang up' },
];

export interface Link {
  /** What goes to the API, or comes from it, is lost. */
  cut: 'none' | 'requests' | 'answers' | 'both';
  /** What is watched does not come; what is asked for does. */
  isWatchStalled: boolean;
}

interface Watcher {
  readonly link: Link;
  readonly isAlive: () => boolean;
  readonly tell: (key: string) => void;
  /** Told of soon; what changes again until then is told once. */
  readonly pending: Set<string>;
}

export class FakeApi {
  readonly leases = new Map<string, LeaseRecord>();
  assignment: Stored = { version: undefined, assignment: noAssignment };
  /** Requests wait until this time. */
  hungUntilMs = 0;
  /** Share of requests that fail in etcd, some of them after they were done. */
  errorShare = 0;
  requests = 0;
  onAssignment: (next: StoredAssignment, before: StoredAssignment) => void = () => undefined;
  readonly #queue: EventQueue;
  readonly #random: () => number;
  readonly #watchers: Watcher[] = [];
  #version = 0;

  constructor(queue: EventQueue, random: () => number) {
    this.#queue = queue;
    this.#random = random;
  }

  readLease(link: Link, name: string, limitMs: number, done: (answer: Answer<LeaseRecord | undefined>) => void): void {
    this.#request(link, limitMs, () => ({ ok: true, value: this.leases.get(name) }), done);
  }

  writeLease(
    link: Link,
    name: string,
    draft: LeaseDraft,
    limitMs: number,
    done: (answer: Answer<LeaseRecord>) => void,
  ): void {
    const commit = (): Answer<LeaseRecord> => {
      const before = this.leases.get(name);
      if (before?.version !== draft.version) return { ok: false, verdict: classify(conflict) };
      const record = { ...draft, version: this.#nextVersion(), uid: before?.uid ?? `u${String(this.#version)}` };
      this.leases.set(name, record);
      this.#changed(name);
      return { ok: true, value: record };
    };
    this.#request(link, limitMs, commit, done);
  }

  readAssignment(link: Link, done: (answer: Answer<Stored>) => void): void {
    this.#request(link, 1000, () => ({ ok: true, value: this.assignment }), done);
  }

  writeAssignment(
    link: Link,
    version: string | undefined,
    assignment: StoredAssignment,
    done: (answer: Answer<string>) => void,
  ): void {
    const commit = (): Answer<string> => {
      if (this.assignment.version !== version) return { ok: false, verdict: classify(conflict) };
      this.onAssignment(assignment, this.assignment.assignment);
      this.assignment = { version: this.#nextVersion(), assignment };
      this.#changed('assignment');
      return { ok: true, value: this.assignment.version ?? '' };
    };
    this.#request(link, 1000, commit, done);
  }

  /** Tells names of what has changed, late and conflated, and after a cut everything once more. */
  watch(link: Link, isAlive: () => boolean, tell: (key: string) => void): void {
    this.#watchers.push({ link, isAlive, tell, pending: new Set() });
    for (const key of [...this.leases.keys(), 'assignment'])
      this.#queue.after(this.#latencyMs(), () => isAlive() && tell(key));
  }

  #changed(key: string): void {
    for (const watcher of this.#watchers) {
      if (!watcher.isAlive()) continue;
      if (watcher.pending.has(key)) continue;
      watcher.pending.add(key);
      this.#deliver(watcher, key);
    }
  }

  #deliver(watcher: Watcher, key: string): void {
    this.#queue.after(this.#latencyMs(), () => {
      if (watcher.link.isWatchStalled) {
        this.#queue.after(50, () => this.#deliver(watcher, key));
        return;
      }
      if (watcher.link.cut !== 'none') {
        // A watch that broke is made anew a while after the network is well.
        this.#queue.after(50 + this.#random() * 3000, () => this.#deliver(watcher, key));
        return;
      }
      watcher.pending.delete(key);
      if (watcher.isAlive()) watcher.tell(key);
    });
  }

  #request<T>(link: Link, limitMs: number, commit: () => Answer<T>, done: (answer: Answer<T>) => void): void {
    this.requests += 1;
    let isOver = false;
    const finish = (answer: Answer<T>) => {
      if (isOver) return;
      isOver = true;
      done(answer);
    };
    const fail = (failure: ApiFailure) => finish({ ok: false, verdict: classify(failure) });
    this.#queue.after(limitMs, () => fail({ kind: 'timeout', afterMs: limitMs }));
    if (link.cut === 'requests' || link.cut === 'both') return;
    const arriveMs = Math.max(this.#queue.nowMs + this.#latencyMs(), this.hungUntilMs);
    this.#queue.at(arriveMs, () => {
      const isFailing = this.#random() < this.errorShare;
      const error = isFailing ? etcdErrors[Math.floor(this.#random() * etcdErrors.length)] : undefined;
      const isDone = error === undefined || (classify(error).class === 'ambiguous' && this.#random() < 0.5);
      const answer = isDone ? commit() : undefined;
      this.#queue.after(this.#latencyMs(), () => {
        if (link.cut === 'answers' || link.cut === 'both') return;
        if (error !== undefined) fail(error);
        else if (answer !== undefined) finish(answer);
      });
    });
  }

  #latencyMs(): number {
    return this.#random() < 0.02 ? 5 + this.#random() * 200 : 0.5 + this.#random() * 4;
  }

  #nextVersion(): string {
    this.#version += 1;
    return String(this.#version);
  }
}
