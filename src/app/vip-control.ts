/** Serves the control API of this node's process of virtual IPs: HTTP on a unix socket, 0600 in a 0700 folder. */
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { jsonBody } from '../control/json-body.ts';
import { listenPrivately } from '../control/socket-file.ts';
import { errorToJson, StartupError } from '../error/startup-error.ts';
import { explanationOf, planOf, statusOf, type VipKnowledge } from '../vip/answer-operator.ts';
import { operateRequest, vipVerbs, type OperateRequest, type VipVerb } from '../vip/control-model.ts';

export interface VipControlTarget {
  known(): VipKnowledge;
  metrics(): string;
  /** Writes it down for the cluster. */
  operate(verb: VipVerb, request: OperateRequest): Promise<string>;
}

const maxBodyBytes = 4096;
const maxConnections = 64;

/** @throws StartupError ERR_CONTROL if the socket cannot be made safely or another process answers there */
export async function serveVipControl(options: {
  readonly socketPath: string;
  readonly target: VipControlTarget;
}): Promise<AsyncDisposable> {
  const { socketPath, target } = options;
  const server = createServer({ keepAlive: false }, (request, response) => void serve(request, response, target));
  server.maxConnections = maxConnections;
  server.on('error', () => undefined);
  await listenPrivately(server, socketPath);
  return {
    async [Symbol.asyncDispose]() {
      const ended = new Promise<void>((resolve) => void server.close(() => resolve()));
      server.closeAllConnections();
      await ended;
      rmSync(socketPath, { force: true });
    },
  };
}

async function answer(target: VipControlTarget, request: IncomingMessage): Promise<object | string> {
  const url = new URL(request.url ?? '/', 'http://vip');
  const what = `${request.method ?? 'GET'} ${url.pathname}`;
  switch (what) {
    case 'GET /v1/status':
      return statusOf(target.known());
    case 'GET /v1/plan':
      return planOf(target.known());
    case 'GET /v1/explain':
      return explanationOf(target.known(), url.searchParams.get('address') ?? '');
    case 'GET /v1/metrics':
      return target.metrics();
  }
  const verb = vipVerbs.find((each) => what === `POST /v1/${each}`);
  if (verb === undefined) {
    throw new StartupError('ERR_USAGE', `the process of virtual IPs does not know ${what}`, { status: 404 });
  }
  const body = operateRequest.safeParse((await jsonBody(request, maxBodyBytes)) ?? {});
  if (!body.success) throw new StartupError('ERR_USAGE', 'the request is not understood', { status: 400 });
  const asked = await target.operate(verb, body.data);
  return { asked, plan: planOf(target.known()) };
}

async function serve(request: IncomingMessage, response: ServerResponse, target: VipControlTarget): Promise<void> {
  response.on('error', () => undefined); // A reader that goes away is no error of ours.
  try {
    const reply = await answer(target, request);
    if (response.destroyed) return;
    if (typeof reply === 'string') send(response, 200, 'text/plain; version=0.0.4', reply);
    else send(response, 200, 'application/json', JSON.stringify(reply));
  } catch (error) {
    const status = error instanceof StartupError ? (error.detail as { status?: number }).status : undefined;
    send(response, status ?? 500, 'application/json', JSON.stringify(errorToJson(error)));
  }
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, connection: 'close' });
  response.end(text);
}
