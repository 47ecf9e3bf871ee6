/** A client that is led elsewhere, and back: two real servers of HTTPS, and files as a component's kubeconfig names them. */
import { EventEmitter, once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { expect, test } from 'vitest';
import { anotherIsAsked, renewedClient } from '../../src/app/renewed-client.ts';
import { renderKubeconfig } from '../../src/cluster/kubeconfigs.ts';
import { failureOf } from '../../src/vip/coordination/cluster-api.ts';
import { classify } from '../../src/vip/coordination/error-class.ts';
import { newAuthority, servingPair, type Identity } from '../cluster-room/join/desk-kit.ts';
import { temporaryFolder } from '../cluster-room/settings-kit.ts';

/** Answers each request with its name, and a watch with nothing, for ever. */
async function server(name: string, authority: Identity) {
  const { certificate, key } = await servingPair(authority);
  const asked = new EventEmitter();
  const listening = createServer({ cert: certificate, key }, (request, response) => {
    if (request.url === '/hangs') asked.emit('hangs');
    else if (request.url?.includes('watch=') === true) {
      response.writeHead(200).flushHeaders();
      asked.emit('watch');
    } else response.end(JSON.stringify({ metadata: { resourceVersion: '1' }, items: [], name }));
  }).listen(0, '127.0.0.1');
  await once(listening, 'listening');
  return {
    url: `https://127.0.0.1:${String((listening.address() as AddressInfo).port)}`,
    /** When the next watch has begun. */
    watched: () => once(asked, 'watch'),
    /** When the next request is there that gets no answer. */
    hangs: () => once(asked, 'hangs'),
    [Symbol.dispose]() {
      listening.closeAllConnections();
      listening.close();
    },
  };
}

/** Two API servers, and a kubeconfig that names the first. */
async function twoServers() {
  const authority = await newAuthority('ours');
  const first = await server('first', authority);
  const second = await server('second', authority);
  const folder = temporaryFolder();
  mkdirSync(folder, { recursive: true });
  const { certificate, key } = await servingPair(authority);
  const files = { caFile: `${folder}/ca.crt`, certFile: `${folder}/own.crt`, keyFile: `${folder}/own.key` };
  writeFileSync(files.caFile, authority.pem);
  writeFileSync(files.certFile, certificate);
  writeFileSync(files.keyFile, key);
  const kubeconfig = path.join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, renderKubeconfig({ server: first.url, user: 'vip', material: files }));
  return {
    first,
    second,
    kubeconfig,
    [Symbol.dispose]() {
      first[Symbol.dispose]();
      second[Symbol.dispose]();
    },
  };
}

test('from now on another API server is asked, and what was watched at the first ends', async () => {
  using servers = await twoServers();
  const { second, kubeconfig } = servers;
  using client = renewedClient(kubeconfig);
  const { signal } = new AbortController();
  const asked = async () => (await (await client.connect()).get('/api', signal)) as { readonly name: string };
  expect(await asked()).toMatchObject({ name: 'first' });
  const watch = (await client.connect()).watch('/api', {}, signal)[Symbol.asyncIterator]();
  const ended = expect(watch.next()).rejects.toThrow('another API server is asked');
  client.redirect(second.url);
  await ended;
  expect(await asked()).toMatchObject({ name: 'second' });
  client.redirect(second.url);
  client.redirect(undefined);
  expect(await asked()).toMatchObject({ name: 'first' });
});

test('one that is led away and back, before anybody has connected, watches again', async () => {
  using servers = await twoServers();
  using client = renewedClient(servers.kubeconfig);
  const end = new AbortController();
  await client.connect();
  client.redirect(servers.second.url);
  client.redirect(undefined);
  const watched = servers.first.watched();
  const watch = (await client.connect()).watch('/api', {}, end.signal)[Symbol.asyncIterator]();
  const ended = expect(watch.next()).rejects.toThrow('enough');
  await Promise.race([watched, ended]);
  end.abort(new Error('enough'));
  await ended;
});

test('a write that an API server hangs over ends when another one is asked, and may have been done', async () => {
  using servers = await twoServers();
  using client = renewedClient(servers.kubeconfig);
  const { signal } = new AbortController();
  const arrived = servers.first.hangs();
  const failed = (await client.connect()).replace('/hangs', {}, signal).then(
    () => undefined,
    (error: unknown) => error,
  );
  await arrived;
  client.redirect(servers.second.url);
  const verdict = classify(failureOf(await failed));
  expect(verdict).toMatchObject({ class: 'ambiguous', mayRetry: true, text: anotherIsAsked });
});
