/** Serves the control API of this node's process of virtual IPs (vip/control-model.ts). */
import { StartupError } from '../error/startup-error.ts';
import { explanationOf, planOf, statusOf, type VipKnowledge } from '../vip/answer-operator.ts';
import {
  operateRequest,
  vipVerbs,
  type OperateAnswer,
  type OperateRequest,
  type VipVerb,
} from '../vip/control-model.ts';
import { servePrivateApi, type PrivateReply, type PrivateRequest } from './private-api.ts';

export interface VipControlTarget {
  known(): VipKnowledge;
  metrics(): string;
  /** Writes it down for the cluster. */
  operate(verb: VipVerb, request: OperateRequest): Promise<OperateAnswer>;
}

const maxBodyBytes = 4096;

/** @throws StartupError ERR_CONTROL if the socket cannot be made safely or another process answers there */
export function serveVipControl(options: {
  readonly socketPath: string;
  readonly target: VipControlTarget;
}): Promise<AsyncDisposable> {
  const { socketPath, target } = options;
  return servePrivateApi({ socketPath, maxBodyBytes, answer: (request) => answer(target, request) });
}

const json = (value: unknown): PrivateReply => ({ kind: 'json', value });

async function answer(target: VipControlTarget, { method, url, body }: PrivateRequest): Promise<PrivateReply> {
  const what = `${method} ${url.pathname}`;
  switch (what) {
    case 'GET /v1/status':
      return json(statusOf(target.known()));
    case 'GET /v1/plan':
      return json(planOf(target.known()));
    case 'GET /v1/explain':
      return json(explanationOf(target.known(), url.searchParams.get('address') ?? ''));
    case 'GET /v1/metrics':
      return { kind: 'text', text: target.metrics() };
  }
  const verb = vipVerbs.find((each) => what === `POST /v1/${each}`);
  if (verb === undefined) {
    throw new StartupError('ERR_USAGE', `the process of virtual IPs does not know ${what}`, { status: 404 });
  }
  const request = operateRequest.safeParse(body ?? {});
  if (!request.success) throw new StartupError('ERR_USAGE', 'the request is not understood', { status: 400 });
  return json(await target.operate(verb, request.data));
}
