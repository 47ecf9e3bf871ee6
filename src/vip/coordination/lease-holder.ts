/**
 * Drives a Lease machine: makes its requests, wakes it, and tells what it allows. Decides nothing.
 */
import type { Clock } from '../../kernel/clock.ts';
import { unreachable } from '../../kernel/unreachable.ts';
import type { ClusterApi } from './cluster-api.ts';
import { isOurs, newLease, stepLease } from './lease-machine.ts';
import type {
  LeaseEffect,
  LeaseEvent,
  LeaseInput,
  LeaseMachine,
  LeaseNotes,
  LeaseRecord,
  LeaseRules,
  LeaseStateId,
} from './lease-model.ts';

export interface LeaseHolderOptions {
  readonly rules: LeaseRules;
  readonly api: Pick<ClusterApi, 'readLease' | 'writeLease'>;
  readonly clock: Clock;
  /** See `LeaseContext`. */
  readonly bootMs: () => number;
  readonly random: () => number;
  readonly onAllow: (allowed: {
    readonly tenure: number;
    readonly deadlineMs: number;
    readonly record: LeaseRecord;
  }) => void;
  readonly onWithdraw: (withdraw: { readonly tenure: number; readonly reason: string }) => void;
  readonly onEvent: (event: LeaseEvent) => void;
}

export interface LeaseHolder {
  want(): void;
  /** Resolves when it was withdrawn and given back, or could not be. */
  stop(): Promise<void>;
  withdrawn(tenure: number): void;
  giveUp(reason: string): void;
  publish(notes: LeaseNotes): void;
  seen(record: LeaseRecord | undefined): void;
  readonly view: LeaseView;
}

export interface LeaseView {
  readonly state: LeaseStateId;
  readonly isOurs: boolean;
  /** Of the last that was seen. */
  readonly holder: string | undefined;
  /** Until the own deadline; undefined when it is not ours. */
  readonly leftMs: number | undefined;
}

export function leaseHolder(options: LeaseHolderOptions): LeaseHolder {
  const { rules, api, clock, bootMs, random, onAllow, onWithdraw, onEvent } = options;
  let machine: LeaseMachine = newLease;
  let timer: Disposable | undefined;
  let onIdle: (() => void) | undefined;
  const queue: LeaseInput[] = [];
  let isBusy = false;

  /** One input after the other, each with its effects before the next. */
  const give = (input: LeaseInput) => {
    queue.push(input);
    if (isBusy) return;
    isBusy = true;
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const step = stepLease(machine, next, rules, { nowMs: clock.monotonicMs(), bootMs: bootMs(), random });
        machine = step.machine;
        wakeAt(step.wakeAtMs);
        for (const effect of step.effects) perform(effect);
      }
    } finally {
      isBusy = false;
    }
  };
  const wakeAt = (atMs: number | undefined) => {
    timer?.[Symbol.dispose]();
    timer = undefined;
    if (atMs === undefined || !Number.isFinite(atMs)) return;
    timer = clock.timer(Math.max(atMs - clock.monotonicMs(), 0), () => give({ type: 'wake' }));
  };
  const perform = (effect: LeaseEffect) => {
    switch (effect.type) {
      case 'read':
        void api
          .readLease(rules.lease, effect.limitMs)
          .then((answer) =>
            give(
              answer.ok
                ? { type: 'read', call: effect.call, record: answer.value }
                : { type: 'failed', call: effect.call, verdict: answer.verdict },
            ),
          );
        return;
      case 'write':
        void api
          .writeLease(rules.lease, effect.draft, effect.limitMs)
          .then((answer) =>
            give(
              answer.ok
                ? { type: 'written', call: effect.call, record: answer.value }
                : { type: 'failed', call: effect.call, verdict: answer.verdict },
            ),
          );
        return;
      case 'allow':
        onAllow(effect);
        return;
      case 'withdraw':
        onWithdraw(effect);
        return;
      case 'idle':
        onIdle?.();
        return;
      case 'tell':
        onEvent(effect.event);
        return;
      default:
        unreachable(effect);
    }
  };

  return {
    want: () => give({ type: 'want' }),
    stop: () =>
      new Promise((resolve) => {
        onIdle = () => {
          timer?.[Symbol.dispose]();
          resolve();
        };
        give({ type: 'stop' });
      }),
    withdrawn: (tenure) => give({ type: 'withdrawn', tenure }),
    giveUp: (reason) => give({ type: 'give-up', reason }),
    publish: (notes) => give({ type: 'publish', notes }),
    seen: (record) => give({ type: 'seen', record }),
    get view() {
      const { state, seen } = machine;
      const ours = isOurs(state);
      return {
        state: state.id,
        isOurs: ours,
        holder: seen?.record?.holder,
        leftMs: ours ? state.holding.deadlineMs - clock.monotonicMs() : undefined,
      };
    },
  };
}
