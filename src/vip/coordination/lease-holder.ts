/**
 * Drives a Lease machine: makes its requests, wakes it, and tells what it allows. Decides nothing.
 */
import type { Clock } from '../../kernel/clock.ts';
import { unreachable } from '../../kernel/unreachable.ts';
import type { Answer, ClusterApi } from './cluster-api.ts';
import { drive } from './drive.ts';
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
  let onIdle: (() => void) | undefined;

  /** An answer, or what went wrong, becomes an input. */
  const give = async <T>(call: number, asked: Promise<Answer<T>>, input: (value: T) => LeaseInput) => {
    const answer = await asked;
    machine.give(answer.ok ? input(answer.value) : { type: 'failed', call, verdict: answer.verdict });
  };
  const perform = (effect: LeaseEffect) => {
    switch (effect.type) {
      case 'read': {
        const { call, limitMs } = effect;
        void give(call, api.readLease(rules.lease, limitMs), (record) => ({ type: 'read', call, record }));
        return;
      }
      case 'write': {
        const { call, draft, limitMs } = effect;
        void give(call, api.writeLease(rules.lease, draft, limitMs), (record) => ({ type: 'written', call, record }));
        return;
      }
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

  const machine = drive<LeaseMachine, LeaseInput, LeaseEffect>({
    initial: newLease,
    step: (before, input) => {
      const context = { nowMs: clock.monotonicMs(), bootMs: bootMs(), random };
      const { machine: state, ...rest } = stepLease(before, input, rules, context);
      return { state, ...rest };
    },
    perform,
    clock,
  });
  return {
    want: () => machine.give({ type: 'want' }),
    stop: () =>
      new Promise((resolve) => {
        onIdle = () => {
          machine[Symbol.dispose]();
          resolve();
        };
        machine.give({ type: 'stop' });
      }),
    withdrawn: (tenure) => machine.give({ type: 'withdrawn', tenure }),
    giveUp: (reason) => machine.give({ type: 'give-up', reason }),
    publish: (notes) => machine.give({ type: 'publish', notes }),
    seen: (record) => machine.give({ type: 'seen', record }),
    get view() {
      const { state, seen } = machine.state;
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
