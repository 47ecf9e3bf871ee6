/** `k3s-lite vip` against a server on the real socket that answers as the process does. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { vipSocket, type Paths } from '../../src/app/paths.ts';
import { requestOf } from '../../src/cli/commands/vip.ts';
import { vipClient } from '../../src/cli/commands/vip-client.ts';
import {
  renderOperated,
  renderVipExplanation,
  renderVipPlan,
  renderVipStatus,
} from '../../src/cli/commands/vip-text.ts';
import type { PlanAnswer, StatusAnswer } from '../../src/vip/control-model.ts';

const planned: PlanAnswer = {
  moves: [{ address: '10.1.2.3', from: 'b', to: 'a', reason: 'drain' }],
  waiting: [{ address: '10.1.2.4', from: 'a', to: 'c', reason: 'failback', until: 'window' }],
  unassigned: ['10.1.2.5'],
  violations: [{ kind: 'group', address: '10.1.2.3' }],
  imbalance: { now: 1.5, afterwards: 1 },
};
const status: StatusAnswer = {
  node: 'a',
  leaseGood: true,
  coordinator: 'b',
  epoch: 7,
  imbalance: 1.25,
  window: { isOpen: false, changesInMs: 3_600_000 },
  nodes: [
    { name: 'a', state: 'ready', capacity: 1, penalty: 0, held: 2, load: 2, fairShare: 1.5, leaseLeftMs: 2100 },
    { name: 'b', state: 'draining', capacity: 2, penalty: 1, held: 1, load: 1 },
  ],
  addresses: [
    {
      address: '10.1.2.3',
      owner: 'b',
      state: 'revoking',
      next: 'a',
      generation: 4,
      weight: 1,
      services: ['default/web'],
    },
    { address: '10.1.2.5', state: 'unassigned', weight: 1, services: ['shop/till'], pinnedTo: 'c' },
  ],
};

/** What it was asked is kept. */
async function answering(answers: Readonly<Record<string, unknown>>) {
  const runDir = mkdtempSync(path.join(tmpdir(), 'k3s-lite-vip-'));
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const what = `${request.method ?? ''} ${request.url ?? ''}`;
    request.setEncoding('utf8').on('data', (body: string) => asked.push(body));
    asked.push(what);
    request.on('end', () => response.end(JSON.stringify(answers[what] ?? {})));
  });
  const paths = { runDir, dataDir: '/data' } as Paths;
  server.listen(vipSocket(paths));
  onTestFinished(() => {
    server.close();
    rmSync(runDir, { recursive: true });
  });
  await once(server, 'listening');
  return { client: vipClient(paths, new AbortController().signal), asked };
}

test('what the process answers is checked and shown', async () => {
  const { client } = await answering({ 'GET /v1/status': status, 'GET /v1/plan': planned });
  expect(renderVipStatus(await client.status(), false)).toMatchInlineSnapshot(`
    "2 addresses, imbalance 1.25, 1 without a node
    coordinator b, epoch 7; a may answer
    maintenance window closed for 1 h 0 m

    NODE  STATE            HELD  LOAD  SHARE  CAPACITY  LEASE
    a     ready            2     2     1.5    1         2.1 s
    b     draining, flaps  1     1     -      2         -

    ADDRESS   STATE             NODE  GENERATION  SERVICES
    10.1.2.3  revoking, then a  b     4           default/web
    10.1.2.5  unassigned        -     -           shop/till, (pinned to c)
    "
  `);
  expect(renderVipPlan(await client.plan())).toMatchInlineSnapshot(`
    "now      10.1.2.3 from b to a (drain)
    waits    10.1.2.4 from a to c (failback): for a maintenance window
    nobody   10.1.2.5: no eligible node
    broken   10.1.2.3: too many of its group on the node
    imbalance 1.50, afterwards 1.00
    "
  `);
  await expect(client.explain('10.1.2.3')).rejects.toMatchObject({ code: 'ERR_CONTROL' });
});

test('an operation is asked for with its words, and its plan is shown', async () => {
  const { client, asked } = await answering({ 'POST /v1/pin': { asked: 'pin 10.1.2.3 to a', plan: planned } });
  const answer = await client.operate('pin', requestOf('pin', ['10.1.2.3', 'a']));
  expect(asked).toEqual(['POST /v1/pin', '{"address":"10.1.2.3","node":"a"}']);
  expect(renderOperated(answer)).toMatch(/^pin 10\.1\.2\.3 to a\nnow {6}10\.1\.2\.3 from b to a/);
});

test('it is said where each address is elected by itself, and who was told otherwise', () => {
  const elected = { ...status, election: 'per-service' as const };
  const [, , third, fourth] = renderVipStatus({ ...elected, toldOtherwise: ['a', 'b'] }, false).split('\n');
  expect(third).toBe('each address is elected by itself, nothing is moved for balance');
  expect(fourth).toBe(
    '--vip-election is per-service in this cluster, and was given otherwise to a, b: restart what is to change',
  );
  expect(renderVipStatus(elected, false)).not.toContain('otherwise');
  const plan = { ...planned, moves: [], waiting: [], election: 'per-service' as const };
  expect(renderVipPlan(plan)).toContain(third);
  const answer = { address: '10.1.2.3', owner: 'a', verdict: 'stays', nodes: [], election: 'per-service' as const };
  expect(renderVipExplanation(answer, false)).toContain(`10.1.2.3 is on a: stays\n${String(third)}\n`);
  expect(renderOperated({ asked: 'drain b', plan: planned, notes: ['b has no Node object'] })).toMatch(
    /^drain b\nb has no Node object\nnow/,
  );
});

test('an explanation names every node', () => {
  const nodes = [
    { name: 'a', may: true, load: 2, cost: 5, why: 'has more than its share' },
    { name: 'b', may: false, load: 0, why: 'no ready endpoint of default/web' },
  ];
  const shown = renderVipExplanation({ address: '10.1.2.3', owner: 'a', verdict: 'stays', nodes }, false);
  expect(shown).toMatchInlineSnapshot(`
    "10.1.2.3 is on a: stays
    NODE  MAY  LOAD  COST  WHY
    a     yes  2     5     has more than its share
    b     no   0     -     no ready endpoint of default/web
    "
  `);
});

test('where nobody answers it is said for which data directory', async () => {
  const client = vipClient({ runDir: '/nowhere', dataDir: '/data' } as Paths, new AbortController().signal);
  await expect(client.status()).rejects.toMatchObject({
    code: 'ERR_CONTROL',
    message: 'virtual IPs do not run for /data: nobody answers on /nowhere/vip.sock',
  });
});

describe('what a verb needs is said', () => {
  test.each([
    ['drain', [], 'vip drain needs the name of a node'],
    ['pin', ['10.1.2.3'], 'vip pin needs an address and the name of a node'],
    ['pin', ['web', 'a'], 'vip pin: "web" is no address, like 10.1.2.3'],
    ['unpin', [], 'vip unpin needs an address'],
  ] as const)('%s %j: %s', (verb, words, message) => {
    expect(() => requestOf(verb, words)).toThrow(message);
  });
});
