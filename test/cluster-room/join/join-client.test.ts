/** Whatever a server answers, whoever joins has what it asked for, or an error that says what to think of it. */
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { joinClient, type JoinClient } from '../../../src/cluster/join/join-client.ts';
import { sealWithToken } from '../../../src/cluster/join/seal.ts';
import { StartupError } from '../../../src/error/startup-error.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { newAuthority, passwords, servingPair, settings } from './desk-kit.ts';

const password = passwords.server;
let server: Server;
let client: JoinClient;
/** What the server answers next. */
let next = { status: 200, body: '' };
beforeAll(async () => {
  const authority = await newAuthority('ours');
  const { certificate, key } = await servingPair(authority);
  server = createServer({ cert: certificate, key }, (request, response) => {
    request.resume();
    response.writeHead(next.status).end(next.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  client = joinClient({
    cluster: {
      origin: `https://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
      authority: authority.pem,
    },
    token: { user: 'server', password, caHash: undefined },
    clock: systemClock,
    signal: new AbortController().signal,
  });
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const csr = { purpose: 'coredns' as const, csr: '', ips: [] };
const calls: Readonly<Record<string, () => Promise<unknown>>> = {
  certificate: () => client.certificate(csr, { name: 'w1', password: 'n'.repeat(32) }),
  bootstrap: () => client.bootstrap(),
  servers: () => client.servers(),
  settings: () => client.settings(),
  'compared settings': () => client.compareSettings(settings),
};

/** @returns what came of it; fails when that is neither an answer nor one of the errors that are promised */
async function outcome(call: () => Promise<unknown>): Promise<unknown> {
  try {
    return await call();
  } catch (error) {
    expect(error).toBeInstanceOf(StartupError);
    const { code } = error as StartupError;
    expect(['ERR_TOKEN', 'ERR_JOIN_REFUSED', 'ERR_JOIN']).toContain(code);
    expect(JSON.stringify((error as StartupError).toJSON())).not.toContain(password);
    return code;
  }
}

const genuine = [
  { certificate: 'a', clientAuthority: 'b', serverAuthority: 'c' },
  { sealed: 'v1.a.b.c.d' },
  { servers: [{ name: 's1', join: 'https://192.0.2.1:9345', api: '192.0.2.1:6443' }] },
  settings,
  { code: 'ERR_TOKEN', message: 'no' },
];
const anything = fc.record({
  status: fc.constantFrom(200, 200, 200, 400, 401, 403, 409, 429, 500, 503),
  body: fc.oneof(
    fc.constantFrom(...genuine).map((value) => JSON.stringify(value)),
    fc.constantFrom(...genuine).chain((value) => {
      const text = JSON.stringify(value);
      return fc.nat(text.length).map((end) => text.slice(0, end));
    }),
    fc.json(),
    fc.string(),
  ),
});

describe('[H5] whatever a server answers, it is taken for what was asked for, or refused:', () => {
  test.each(Object.entries(calls))('%s', { timeout: 60_000 }, async (_, call) => {
    await fc.assert(
      fc.asyncProperty(anything, async (answer) => {
        next = answer;
        const came = await outcome(call);
        if (answer.status === 401) expect(came).toBe('ERR_TOKEN');
        else if (answer.status >= 500 || answer.status === 429) expect(came).toBe('ERR_JOIN');
        else if (answer.status !== 200) expect(came).toBe('ERR_JOIN_REFUSED');
      }),
      { numRuns: 30 },
    );
  });

  test.each(['', '{', '[]', '{"authorities":{}}', '{"authorities":{"../x.key":"k"},"nodePassword":"p"}'])(
    'the authorities, sealed as they have to be, that are %j inside',
    async (inside) => {
      next = { status: 200, body: JSON.stringify({ sealed: await sealWithToken(inside, password) }) };
      expect(await outcome(() => client.bootstrap())).toBe('ERR_JOIN');
    },
  );
});
