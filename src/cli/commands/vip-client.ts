/** The client of the control socket of this node's process of virtual IPs. */
import { vipSocket, type Paths } from '../../app/paths.ts';
import { ask, parseReply, textOf, type Peer } from '../../control/ask.ts';
import { StartupError } from '../../error/startup-error.ts';
import {
  explainAnswer,
  operateAnswer,
  planAnswer,
  statusAnswer,
  type ExplainAnswer,
  type OperateAnswer,
  type OperateRequest,
  type PlanAnswer,
  type StatusAnswer,
  type VipVerb,
} from '../../vip/control-model.ts';

export interface VipClient {
  status(): Promise<StatusAnswer>;
  plan(): Promise<PlanAnswer>;
  explain(address: string): Promise<ExplainAnswer>;
  metrics(): Promise<string>;
  operate(verb: VipVerb, request: OperateRequest): Promise<OperateAnswer>;
}

/** What an operator asks for is written through the API before it is answered. */
const answerWithinMs = 15_000;

export function vipClient(paths: Paths, signal: AbortSignal): VipClient {
  const socketPath = vipSocket(paths);
  const peer: Peer = {
    name: 'the process of virtual IPs',
    socketPath,
    signal,
    connectionError(cause) {
      const message = `virtual IPs do not run for ${paths.dataDir}: nobody answers on ${socketPath}`;
      return new StartupError('ERR_CONTROL', message, { dataDir: paths.dataDir }, { cause });
    },
  };
  const text = async (path: string, body?: object) => textOf(await ask(peer, { path, body, withinMs: answerWithinMs }));
  return {
    status: async () => parseReply(peer, statusAnswer, await text('/v1/status')),
    plan: async () => parseReply(peer, planAnswer, await text('/v1/plan')),
    explain: async (address) =>
      parseReply(peer, explainAnswer, await text(`/v1/explain?address=${encodeURIComponent(address)}`)),
    metrics: () => text('/v1/metrics'),
    operate: async (verb, request) => parseReply(peer, operateAnswer, await text(`/v1/${verb}`, request)),
  };
}
