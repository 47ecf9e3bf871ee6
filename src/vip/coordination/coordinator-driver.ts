/** Drives the coordinator: makes its requests and wakes it. Its state is kept also while another node is it. */
import type { Clock } from '../../kernel/clock.ts';
import { unreachable } from '../../kernel/unreachable.ts';
import { nodeLease, otherCallMs, type Answer, type ClusterApi } from './cluster-api.ts';
import { newCoordinator, stepCoordinator } from './coordinator.ts';
import type {
  Candidacy,
  CoordinatorEffect,
  CoordinatorEvent,
  CoordinatorInput,
  CoordinatorRules,
  CoordinatorState,
} from './coordinator-model.ts';
import { drive, type DrivenMachine } from './drive.ts';
import type { Verdict } from './error-class.ts';

export interface CoordinatorDriverOptions {
  readonly rules: CoordinatorRules;
  readonly api: Pick<ClusterApi, 'readAssignment' | 'writeAssignment' | 'readLease'>;
  readonly clock: Clock;
  /** Of these addresses and of no other the Leases are to be held here, or tried for. */
  readonly onCompete: (candidacies: readonly Candidacy[]) => void;
  /** The assignment was read: it is not only this node that may have written it. */
  readonly onRead?: (() => void) | undefined;
  readonly onEvent: (event: CoordinatorEvent) => void;
}

export type CoordinatorDriver = DrivenMachine<CoordinatorState, CoordinatorInput>;

const refused = (call: number, { text, isConflict }: Verdict): CoordinatorInput => ({
  type: 'failed',
  call,
  text,
  isConflict,
});

export function coordinatorDriver(options: CoordinatorDriverOptions): CoordinatorDriver {
  const { rules, api, clock, onEvent, onCompete, onRead } = options;
  /** An answer, or what went wrong, becomes an input. */
  const give = async <T>(call: number, asked: Promise<Answer<T>>, input: (value: T) => CoordinatorInput) => {
    const answer = await asked;
    machine.give(answer.ok ? input(answer.value) : refused(call, answer.verdict));
  };
  const perform = (effect: CoordinatorEffect) => {
    switch (effect.type) {
      case 'read': {
        const { call } = effect;
        void give(call, api.readAssignment(), (stored) => ({ type: 'read', call, stored })).then(onRead);
        return;
      }
      case 'write': {
        const { call, version: before, assignment } = effect;
        void give(call, api.writeAssignment(before, assignment), (version) => ({ type: 'written', call, version }));
        return;
      }
      case 'confirm': {
        const { call, node } = effect;
        const lease = api.readLease(nodeLease(node), otherCallMs);
        void give(call, lease, (record) => ({ type: 'confirmed', call, record }));
        return;
      }
      case 'compete':
        onCompete(effect.candidacies);
        return;
      case 'tell':
        onEvent(effect.event);
        return;
      default:
        unreachable(effect);
    }
  };
  const machine = drive<CoordinatorState, CoordinatorInput, CoordinatorEffect>({
    initial: newCoordinator,
    step: (state, input) => stepCoordinator(state, input, rules, clock.monotonicMs()),
    perform,
    clock,
  });
  return machine;
}
