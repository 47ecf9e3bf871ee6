import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { serveBalancerControl } from '../../src/app/balancer-control.ts';
import { balancerStream } from '../../src/balancer/balancer-event.ts';
import { createBalancer } from '../../src/balancer/balancer.ts';
import { answerControl, type ControlTarget } from '../../src/balancer/control-api.ts';
import { StartupError } from '../../src/error/startup-error.ts';
import { fakeClock } from '../kit/fake-clock.ts';

const [a, b] = ['10.0.0.1:6443', '10.0.0.2:6443'] as const;

function start() {
  const clock = fakeClock();
  const events = balancerStream({ clock });
  const balancer = createBalancer({ events, clock, random: () => 0.5 });
  const target: ControlTarget = {
    name: 'test',
    listen: '127.0.0.1:6444',
    balancer,
    events,
    metrics: () => 'metrics\n',
  };
  const ask = (method: string, where: string, body?: unknown) =>
    answerControl(target, { method, url: new URL(where, 'http://balancer'), body });
  const addresses = () => balancer.list().map(({ address }) => address);
  return { balancer, target, ask, addresses };
}

describe('whoever discovers servers', () => {
  test('hands over the whole list, with weights where there are any', () => {
    const { ask, balancer, addresses } = start();
    ask('POST', '/v1/servers', { servers: [{ address: b }, { address: a, weight: 3 }] });
    expect(balancer.list().map(({ address, weight }) => [address, weight])).toEqual([
      [a, 3],
      [b, 1],
    ]);
    ask('POST', '/v1/servers', { servers: [] });
    expect(addresses(), 'an empty one changes nothing').toEqual([a, b]);
  });

  test('sets and takes back the default', () => {
    const { ask, balancer, addresses } = start();
    ask('POST', '/v1/default', { server: a });
    expect(balancer.list()[0]?.marks).toEqual(['default']);
    ask('POST', '/v1/default', { server: null });
    expect(addresses()).toEqual([]);
  });
});

describe('what is not understood', () => {
  test.each([
    ['GET', '/v1/nothing', undefined, 404, 'a balancer does not know GET /v1/nothing'],
    ['GET', '/v1/drain', undefined, 404, 'does not know'],
    ['POST', '/v1/servers', { servers: [a] }, 400, 'the request is not understood'],
    ['POST', '/v1/servers', { servers: [{ address: a, wieght: 3 }] }, 400, 'wieght'],
    ['POST', '/v1/servers', undefined, 400, 'the request is not understood'],
    ['POST', '/v1/drain', { server: '10.0.0.9:6443' }, 404, 'there is no server 10.0.0.9:6443'],
    ['POST', '/v1/simulate', { steps: [{ what: 'explode', server: a }] }, 400, 'the request is not understood'],
    ['GET', '/v1/events?since=-1', undefined, 400, 'the request is not understood'],
  ])('%s %s with %j is refused with %i', (method, where, body, status, message) => {
    const { ask } = start();
    let thrown: unknown;
    try {
      ask(method, where, body);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'ERR_USAGE', detail: { status } });
    expect((thrown as StartupError).message).toContain(message);
  });

  test('whatever a body is, it is answered or refused, and what is refused changes nothing', () => {
    const { ask, balancer } = start();
    ask('POST', '/v1/servers', { servers: [{ address: a }, { address: b }] });
    const posts = ['servers', 'default', 'drain', 'undrain', 'pin', 'unpin', 'simulate'];
    const anything = fc.oneof(
      fc.json().map((text) => JSON.parse(text) as unknown),
      fc.record({ server: fc.oneof(fc.string(), fc.constantFrom(a, b)), graceMs: fc.double() }, { requiredKeys: [] }),
      fc.record({ servers: fc.array(fc.record({ address: fc.string(), weight: fc.double() }, { requiredKeys: [] })) }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...posts), anything, (post, body) => {
        const before = balancer.state;
        try {
          ask('POST', `/v1/${post}`, body);
        } catch (error) {
          expect(error).toBeInstanceOf(StartupError);
          expect(balancer.state).toBe(before);
        }
        expect(balancer.explain().candidates).not.toEqual([]);
      }),
      { numRuns: 500 },
    );
  });
});

test('over its socket: no JSON and too much of it are refused, and the balancer goes on', async () => {
  const { target } = start();
  const folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-lb-'));
  const socketPath = path.join(folder, 'lb', 'test.sock');
  await using _served = await serveBalancerControl({ socketPath, target });
  const post = (body: string) =>
    new Promise<number>((resolve, reject) => {
      const asked = request({ socketPath, path: '/v1/servers', method: 'POST', agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      asked.once('error', reject);
      asked.end(body);
    });
  expect(await post('{')).toBe(400);
  expect(await post(JSON.stringify({ servers: [], more: 'x'.repeat(300_000) }))).toBe(413);
  expect(await post(JSON.stringify({ servers: [{ address: a }] }))).toBe(200);
  rmSync(folder, { recursive: true, force: true });
});
