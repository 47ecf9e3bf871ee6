/** Drives the coordinator: makes its requests and wakes it. Its state is kept also while another node is it. */
import type { Clock } from '../../kernel/clock.ts';
import { unreachable } from '../../kernel/unreachable.ts';
import { nodeLease, otherCallMs, type ClusterApi } from './cluster-api.ts';
import { newCoordinator, stepCoordinator } from './coordinator.ts';
import type {
  CoordinatorEffect,
  CoordinatorEvent,
  CoordinatorInput,
  CoordinatorRules,
  CoordinatorState,
} from './coordinator-model.ts';

export interface CoordinatorDriverOptions {
  readonly rules: CoordinatorRules;
  readonly api: Pick<ClusterApi, 'readAssignment' | 'writeAssignment' | 'readLease'>;
  readonly clock: Clock;
  readonly onEvent: (event: CoordinatorEvent) => void;
}

export interface CoordinatorDriver extends Disposable {
  give(input: CoordinatorInput): void;
  readonly state: CoordinatorState;
}

export function coordinatorDriver({ rules, api, clock, onEvent }: CoordinatorDriverOptions): CoordinatorDriver {
  let state = newCoordinator;
  let timer: Disposable | undefined;
  const queue: CoordinatorInput[] = [];
  let isBusy = false;

  const give = (input: CoordinatorInput) => {
    queue.push(input);
    if (isBusy) return;
    isBusy = true;
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const step = stepCoordinator(state, next, rules, clock.monotonicMs());
        state = step.state;
        timer?.[Symbol.dispose]();
        timer =
          step.wakeAtMs === undefined
            ? undefined
            : clock.timer(Math.max(step.wakeAtMs - clock.monotonicMs(), 1), () => give({ type: 'wake' }));
        for (const effect of step.effects) perform(effect);
      }
    } finally {
      isBusy = false;
    }
  };
  const perform = (effect: CoordinatorEffect) => {
    switch (effect.type) {
      case 'read':
        void api
          .readAssignment()
          .then((answer) =>
            give(
              answer.ok
                ? { type: 'read', call: effect.call, stored: answer.value }
                : { type: 'failed', call: effect.call, text: answer.verdict.text },
            ),
          );
        return;
      case 'write':
        void api
          .writeAssignment(effect.version, effect.assignment)
          .then((answer) =>
            give(
              answer.ok
                ? { type: 'written', call: effect.call, version: answer.value }
                : { type: 'failed', call: effect.call, text: answer.verdict.text },
            ),
          );
        return;
      case 'confirm':
        void api
          .readLease(nodeLease(effect.node), otherCallMs)
          .then((answer) =>
            give(
              answer.ok
                ? { type: 'confirmed', call: effect.call, record: answer.value }
                : { type: 'failed', call: effect.call, text: answer.verdict.text },
            ),
          );
        return;
      case 'tell':
        onEvent(effect.event);
        return;
      default:
        unreachable(effect);
    }
  };
  return {
    give,
    get state() {
      return state;
    },
    [Symbol.dispose]: () => {
      timer?.[Symbol.dispose]();
      timer = undefined;
    },
  };
}
