import { expect, onTestFinished, test } from 'vitest';
import type { KeptRoutes } from '../../../src/cluster/pod-routes/kernel-routes.ts';
import { servePodRoutes } from '../../../src/cluster/pod-routes/serve-pod-routes.ts';
import type { WantedRoute } from '../../../src/cluster/pod-routes/wanted-routes.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { scriptedApi, type ScriptedApi } from '../scripted-api.ts';

const nodes = '/api/v1/nodes';
const node = (name: string, part: number, rest: object = {}) => ({
  metadata: { name },
  spec: { podCIDR: `10.42.${String(part)}.0/24` },
  status: { addresses: [{ type: 'InternalIP', address: `192.0.2.${String(part)}` }] },
  ...rest,
});

/** The service, with a kernel that takes every route but those in `unreachable`. */
function service(api: ScriptedApi) {
  const kept: string[][] = [];
  const told: string[] = [];
  const log: string[] = [];
  const unreachable = new Map<string, string>();
  const end = new AbortController();
  const ended = servePodRoutes({
    nodeName: 'n1',
    connect: () => Promise.resolve({ ...api.client, [Symbol.dispose]: () => undefined }),
    clusterCidr: () => Promise.resolve('10.42.0.0/16'),
    keep(wanted: readonly WantedRoute[]): Promise<KeptRoutes> {
      kept.push(wanted.map(({ to, via }) => `${to} ${via}`));
      const refused = new Map([...unreachable].filter(([to]) => wanted.some((route) => route.to === to)));
      return Promise.resolve({ refused, changes: wanted.length });
    },
    clock: systemClock,
    log: (line) => void log.push(line),
    notify: (...lines) => void told.push(...lines),
    signal: end.signal,
  });
  const stopped = ended.catch((error: unknown) => error);
  onTestFinished(async () => {
    end.abort(new Error('the test is over'));
    expect(await stopped).toMatchObject({ message: 'the test is over' });
  });
  return { kept, told, log, unreachable };
}

test('routes follow the nodes; what changes nothing of them makes no work', async () => {
  const api = await scriptedApi();
  api.set(nodes, node('n1', 1));
  api.set(nodes, node('n2', 2));
  const { kept, told } = service(api);
  await expect.poll(() => told).toContain('READY=1');
  expect(kept.at(-1)).toEqual(['10.42.2.0/24 192.0.2.2']);
  await expect.poll(api.openWatches).toBe(1);

  api.set(nodes, node('n3', 3));
  await expect.poll(() => kept.at(-1)).toEqual(['10.42.2.0/24 192.0.2.2', '10.42.3.0/24 192.0.2.3']);
  expect(told.at(-1)).toBe('STATUS=pods of 2 other nodes are routed');
  const lists = () => api.requests.filter(({ path }) => !path.includes('watch=true')).length;
  const before = lists();
  // The last of them is a change that matters: once it has been seen, so were the others.
  for (const beat of ['a', 'b', 'c']) api.set(nodes, node('n2', 2, { annotations: { beat } }));
  api.remove(nodes, 'n3');
  await expect.poll(() => kept.at(-1)).toEqual(['10.42.2.0/24 192.0.2.2']);
  expect(lists()).toBe(before + 1);
  expect(told.filter((line) => line === 'READY=1')).toHaveLength(1);
});

test('what was deleted while the watch was broken is noticed', async () => {
  const api = await scriptedApi();
  api.set(nodes, node('n2', 2));
  api.set(nodes, node('n3', 3));
  const { kept } = service(api);
  await expect.poll(api.openWatches).toBe(1);
  await expect.poll(() => kept.at(-1)).toHaveLength(2);
  api.breakWatches();
  api.remove(nodes, 'n3');
  await expect.poll(() => kept.at(-1), { timeout: 15_000 }).toEqual(['10.42.2.0/24 192.0.2.2']);
});

test('while the API refuses, routes stay and why is told once', async () => {
  const api = await scriptedApi();
  api.set(nodes, node('n2', 2));
  const refusal = { kind: 'Status', reason: 'Forbidden', message: 'not yet' };
  for (let count = 0; count < 4; count += 1) api.answerNext(403, refusal);
  const { kept, told, log } = service(api);
  await expect.poll(() => told).toContain('READY=1');
  expect(kept.every((routes) => routes.length === 1)).toBe(true);
  expect(log.filter((line) => line.includes('not yet; routes stay as they are'))).toHaveLength(1);
});

test('a node out of reach is in the status', async () => {
  const api = await scriptedApi();
  api.set(nodes, node('n2', 2));
  api.set(nodes, node('n3', 3));
  const { told, unreachable } = service(api);
  unreachable.set('10.42.3.0/24', 'Nexthop has invalid gateway');
  await expect
    .poll(() => told.at(-1))
    .toBe(
      'STATUS=pods of 1 of 2 other nodes cannot be reached: n3 at 192.0.2.3: Nexthop has invalid gateway; nodes must share a network segment',
    );
});
