/** HTTP/2 through the balancer, as clients of the API speak it: several requests on one connection. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createSecureServer, type ClientHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { deferred } from '../../src/kernel/deferred.ts';
import { authority } from '../probe/certificates.ts';
import { temporaryFolder } from '../probe/probe-fixture.ts';
import { echoServer, place } from './servers-kit.ts';

/** Resolves with the answer. */
async function ask(session: ClientHttp2Session, path: string): Promise<string> {
  const stream = session.request({ ':path': path });
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

test('[L4] a request of HTTP/2 that takes its time is answered before its connection is closed, whatever else is', async () => {
  using folder = temporaryFolder();
  const ca = await authority(folder.path, 'test');
  const { cert, key } = await ca.sign('server');
  const [came, gate] = [deferred<undefined>(), deferred<undefined>()];
  const server = createSecureServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
    if (request.url !== '/slow') {
      response.end('quick');
      return;
    }
    came.resolve(undefined);
    void gate.promise.then(() => response.end('slow'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  await using other = await echoServer('other');
  await using lb = await place({ servers: [address], verdict: 'ok' });
  const session = connect(`https://${lb.address}`, { ca: readFileSync(ca.ca) });
  const closed = once(session, 'close');
  const slow = ask(session, '/slow');
  await came.promise;
  expect(await ask(session, '/')).toBe('quick');

  lb.balancer.update([{ address }, { address: other.address }]);
  await expect.poll(() => lb.state(other.address)).toBe('preferred');
  // One that is idle is closed by the first look at both.
  lb.balancer.operate({ type: 'pin', address });
  using idle = lb.connect();
  await expect.poll(() => lb.balancer.list().find((each) => each.address === address)?.connections).toBe(2);
  lb.balancer.operate({ type: 'drain', address, graceMs: 60_000 });
  await idle.ended;

  expect(await ask(session, '/')).toBe('quick');
  gate.resolve(undefined);
  expect(await slow).toBe('slow');
  session.close();
  await closed;
  server.close();
});
