/** Drives the agent: what it decides is done by the actuator, one thing of a kind after the other. */
import { linkedAbort, onAbort, type LinkedAbort } from '../../kernel/abort.ts';
import type { Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import { unreachable } from '../../kernel/unreachable.ts';
import type { VipActuator } from '../actuator.ts';
import type { VipAddress } from '../model.ts';
import { newAgent, stepAgent } from './agent.ts';
import type { AgentEffect, AgentEvent, AgentInput, AgentRules, AgentState, AgentWork } from './agent-model.ts';
import type { ClusterApi } from './cluster-api.ts';
import { drive } from './drive.ts';
import type { LeaseNotes } from './lease-model.ts';
import type { StoredAssignment } from './stored-assignment.ts';

export interface AgentDriverOptions {
  readonly rules: AgentRules;
  readonly actuator: VipActuator;
  readonly api: Pick<ClusterApi, 'readAssignment'>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly publish: (notes: LeaseNotes) => void;
  readonly withdrawn: (tenure: number) => void;
  readonly onEvent: (event: AgentEvent) => void;
}

export interface AgentDriver {
  allowed(tenure: number, deadlineMs: number): void;
  withdraw(tenure: number): void;
  seen(assignment: StoredAssignment): void;
  leave(): void;
  apiServer(isReady: boolean): void;
  load(levels: ReadonlyMap<VipAddress, number>): void;
  readonly state: AgentState;
}

export function agentDriver(options: AgentDriverOptions): AgentDriver {
  const { rules, actuator, api, clock, signal, publish, withdrawn, onEvent } = options;
  /** Ends takes that are under way when the Lease is lost. */
  let tenure: LinkedAbort = linkedAbort(signal);

  /** A kernel that refuses for ever is not asked for ever: at the end nobody waits for it. */
  const give = (input: AgentInput) => {
    if (!signal.aborted) machine.give(input);
  };
  const act = (at: AgentWork, addresses: readonly VipAddress[], doing: Promise<AgentInput>) => {
    doing.then(give, (error: unknown) => give({ type: 'failed', at, addresses, reason: messageOf(error) }));
  };
  const perform = (effect: AgentEffect) => {
    switch (effect.type) {
      case 'read':
        void api
          .readAssignment()
          .then((answer) =>
            machine.give(
              answer.ok
                ? { type: 'read', call: effect.call, assignment: answer.value.assignment }
                : { type: 'read failed', call: effect.call },
            ),
          );
        return;
      case 'prepare': {
        const { addresses } = effect;
        const preparing = actuator.prepare(addresses, tenure.signal);
        act(
          'prepare',
          addresses,
          preparing.then((outcomes) => ({ type: 'prepared', outcomes })),
        );
        return;
      }
      case 'take': {
        const { addresses, deadlineMs, isFree } = effect;
        const taking = actuator.take(addresses, { deadlineMs, isFree }, tenure.signal);
        act(
          'take',
          addresses,
          taking.then((outcomes) => ({ type: 'taken', outcomes })),
        );
        return;
      }
      case 'silence': {
        const { addresses } = effect;
        act(
          'silence',
          addresses,
          actuator.silence(addresses).then(() => ({ type: 'silenced', addresses })),
        );
        return;
      }
      case 'drop': {
        const { addresses } = effect;
        act(
          'drop',
          addresses,
          actuator.drop(addresses).then(() => ({ type: 'dropped', addresses })),
        );
        return;
      }
      case 'verify': {
        const left = actuator.held(signal).then((held) => held.map(({ address }) => address));
        act(
          'verify',
          [],
          left.then((addresses) => ({ type: 'verified', left: addresses })),
        );
        return;
      }
      case 'publish':
        publish(effect.notes);
        return;
      case 'withdrawn':
        withdrawn(effect.tenure);
        return;
      case 'tell':
        onEvent(effect.event);
        return;
      default:
        unreachable(effect);
    }
  };

  const machine = drive<AgentState, AgentInput, AgentEffect>({
    initial: newAgent,
    step: (state, input) => stepAgent(state, input, rules, clock.monotonicMs()),
    perform,
    clock,
  });
  onAbort(signal, () => machine[Symbol.dispose]());
  return {
    allowed: (number, deadlineMs) => {
      if (tenure.signal.aborted && !signal.aborted) tenure = linkedAbort(signal);
      machine.give({ type: 'allowed', tenure: number, deadlineMs });
    },
    withdraw: (number) => {
      tenure.abort(new Error('the Lease was lost'));
      machine.give({ type: 'withdraw', tenure: number });
    },
    seen: (assignment) => machine.give({ type: 'seen', assignment }),
    leave: () => machine.give({ type: 'leaving' }),
    apiServer: (isReady) => machine.give({ type: 'api server', isReady }),
    load: (levels) => machine.give({ type: 'load', levels }),
    get state() {
      return machine.state;
    },
  };
}
