/**
 * A Kubernetes API server that says what a test tells it to: real HTTPS with certificates of our
 * own, lists and watches of whatever objects the test sets.
 */
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { ensureCertificates } from '../../src/cluster/certificates.ts';
import { kubeClient, readCredentials, type KubeClient } from '../../src/cluster/kube-client.ts';
import { layoutOf } from '../../src/cluster/layout.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { settingsIn, temporaryFolder } from './settings-kit.ts';

interface Named {
  readonly metadata: { readonly name: string };
}

export interface ScriptedApi {
  readonly client: KubeClient;
  readonly requests: { readonly method: string; readonly path: string; readonly body: string }[];
  readonly openWatches: () => number;
  readonly connections: () => number;
  /** Makes or changes an object of a collection; its watchers are told. */
  set(collection: string, object: Named & object): void;
  remove(collection: string, name: string): void;
  /** Breaks all watches off, without an end of the answer. */
  breakWatches(): void;
  /** Ends all watches as a server does after some minutes. */
  endWatches(): void;
  /** Forgets all versions: watches are answered with 410. */
  compact(): void;
  /** The next request gets this answer. */
  answerNext(status: number, body: object): void;
}

interface Watch {
  readonly collection: string;
  readonly name: string | undefined;
  readonly response: ServerResponse;
}

export async function scriptedApi(): Promise<ScriptedApi> {
  const settings = settingsIn(temporaryFolder());
  await ensureCertificates(settings, systemClock);
  const { serverTls } = layoutOf(settings);
  const collections = new Map<string, Map<string, object>>();
  const watches = new Set<Watch>();
  const requests: ScriptedApi['requests'] = [];
  const canned: { status: number; body: object }[] = [];
  const history: { version: number; collection: string; name: string; line: string }[] = [];
  let version = 1;
  let oldest = 0;
  let connections = 0;

  const say = (response: ServerResponse, status: number, body: object) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  const tell = (collection: string, name: string, type: string, object: object) => {
    const line = `${JSON.stringify({ type, object })}\n`;
    history.push({ version, collection, name, line });
    for (const watch of watches) {
      if (watch.collection === collection && (watch.name === undefined || watch.name === name))
        watch.response.write(line);
    }
  };
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '/', 'https://x');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    requests.push({ method: request.method ?? '', path: request.url ?? '', body: Buffer.concat(chunks).toString() });
    const next = canned.shift();
    if (next !== undefined) {
      say(response, next.status, next.body);
      return;
    }
    const name = url.searchParams.get('fieldSelector')?.replace('metadata.name=', '');
    const collection = url.pathname;
    if (url.searchParams.get('watch') === 'true') {
      response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
      if (Number(url.searchParams.get('resourceVersion')) < oldest) {
        response.end(
          `${JSON.stringify({ type: 'ERROR', object: { code: 410, reason: 'Expired', message: 'too old' } })}\n`,
        );
        return;
      }
      const since = Number(url.searchParams.get('resourceVersion'));
      for (const change of history) {
        const isMine = change.collection === collection && (name === undefined || change.name === name);
        if (isMine && change.version > since) response.write(change.line);
      }
      const watch = { collection, name, response };
      watches.add(watch);
      response.on('close', () => watches.delete(watch));
      return;
    }
    const items = [...(collections.get(collection) ?? [])].filter(([key]) => name === undefined || key === name);
    say(response, 200, { metadata: { resourceVersion: String(version) }, items: items.map(([, object]) => object) });
  };

  const server = createServer(
    {
      key: readFileSync(`${serverTls}/serving-kube-apiserver.key`),
      cert: readFileSync(`${serverTls}/serving-kube-apiserver.crt`),
      ca: readFileSync(`${serverTls}/client-ca.crt`),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => void answer(request, response),
  );
  server.on('secureConnection', () => (connections += 1));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = kubeClient(
    await readCredentials(`https://127.0.0.1:${String(port)}`, serverTls, 'client-admin'),
    systemClock,
  );
  onTestFinished(() => {
    client[Symbol.dispose]();
    server.closeAllConnections();
    server.close();
  });

  const endWatches = () => {
    for (const watch of watches) watch.response.end();
    watches.clear(); // nothing may be written after the end, and 'close' comes later
  };

  return {
    client,
    requests,
    openWatches: () => watches.size,
    connections: () => connections,
    set(collection, object) {
      version += 1;
      const known = collections.get(collection) ?? new Map<string, object>();
      collections.set(collection, known);
      const { name } = object.metadata;
      const stamped = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
      tell(collection, name, known.has(name) ? 'MODIFIED' : 'ADDED', stamped);
      known.set(name, stamped);
    },
    remove(collection, name) {
      version += 1;
      const object = collections.get(collection)?.get(name);
      collections.get(collection)?.delete(name);
      tell(collection, name, 'DELETED', { ...object, metadata: { name, resourceVersion: String(version) } });
    },
    breakWatches() {
      for (const { response } of watches) response.destroy();
    },
    endWatches,
    compact() {
      version += 1;
      oldest = version;
      endWatches();
    },
    answerNext(status, body) {
      canned.push({ status, body });
    },
  };
}
