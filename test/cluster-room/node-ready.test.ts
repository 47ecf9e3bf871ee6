import { describe, expect, test } from 'vitest';
import { KubeApiError, type KubeClient } from '../../src/cluster/kube-client.ts';
import { untilNodeReady } from '../../src/cluster/node-ready.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { scriptedApi, type ScriptedApi } from './scripted-api.ts';

const nodes = '/api/v1/nodes';
const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
const started = Date.UTC(2026, 0, 1, 12);

const node = (status: string, message = '') => ({
  metadata: { name: 'n1' },
  status: { conditions: [{ type: 'Ready', status, message }] },
});
const lease = (afterStartMs: number) => ({
  metadata: { name: 'n1' },
  spec: { renewTime: new Date(started + afterStartMs).toISOString() },
});

/** Asks, and tells whether the answer has come. */
function ask(api: ScriptedApi) {
  const controller = new AbortController();
  const lines: string[] = [];
  let isDone = false;
  const question = { nodeName: 'n1', kubeletStartedMs: started, log: (line: string) => void lines.push(line) };
  const answer = untilNodeReady(api.client, question, controller.signal).then(() => {
    isDone = true;
  });
  return { answer, lines, isDone: () => isDone, abort: () => controller.abort(new Error('enough')) };
}

/** Both watches stand, and what was sent over them before has been read. */
async function settled(api: ScriptedApi): Promise<void> {
  await expect.poll(api.openWatches).toBe(2);
}

describe('a node is ready', () => {
  test('when Ready is True and its lease was renewed after the kubelet was started', async () => {
    const api = await scriptedApi();
    api.set(nodes, node('True'));
    api.set(leases, lease(1500));
    await ask(api).answer;
    await expect.poll(api.openWatches).toBe(0);
  });

  test('as soon as the second of the two comes, in either order', async () => {
    for (const leaseFirst of [true, false]) {
      const api = await scriptedApi();
      const { answer } = ask(api);
      await settled(api);
      const changes = [() => api.set(nodes, node('True')), () => api.set(leases, lease(10))];
      for (const change of leaseFirst ? changes.reverse() : changes) change();
      await answer;
    }
  });
});

describe('a node is not ready', () => {
  test('by a stored Ready of an earlier kubelet, until the lease is renewed', async () => {
    const api = await scriptedApi();
    api.set(nodes, node('True'));
    api.set(leases, lease(-5000));
    const { answer, lines, isDone } = ask(api);
    await settled(api);
    api.set(leases, lease(-1));
    await expect.poll(() => lines).toContain('node n1: its lease was not renewed by the present kubelet yet');
    expect(isDone()).toBe(false);
    api.set(leases, lease(0));
    await answer;
  });

  test('by a fresh lease alone; the kubelet’s reason is told', async () => {
    const api = await scriptedApi();
    api.set(nodes, node('False', 'container runtime network not ready'));
    api.set(leases, lease(100));
    const { answer, lines, isDone } = ask(api);
    await expect.poll(() => lines).toContain('node n1: container runtime network not ready');
    expect(isDone()).toBe(false);
    api.set(nodes, node('True'));
    await answer;
  });

  test('by another node’s lease', async () => {
    const api = await scriptedApi();
    api.set(nodes, node('True'));
    api.set(leases, { ...lease(100), metadata: { name: 'n2' } });
    const { answer, isDone, abort } = ask(api);
    await settled(api);
    expect(isDone()).toBe(false);
    abort();
    await expect(answer).rejects.toThrow('enough');
    await expect.poll(api.openWatches).toBe(0);
  });

  test('any more when it was deleted', async () => {
    const api = await scriptedApi();
    api.set(nodes, node('True'));
    const { answer, lines, abort, isDone } = ask(api);
    await settled(api);
    api.remove(nodes, 'n1');
    await expect.poll(() => lines).toContain('node n1: it was deleted');
    api.set(leases, lease(100));
    api.set(leases, lease(200));
    expect(isDone()).toBe(false);
    abort();
    await expect(answer).rejects.toThrow('enough');
  });
});

describe('with credentials that may not watch leases', () => {
  test('its lease is asked for until it is fresh', async () => {
    const api = await scriptedApi();
    api.set(nodes, node('True'));
    const renewals = [undefined, -5000, 700];
    const client: KubeClient = {
      ...api.client,
      get: () => {
        const renewed = renewals.shift();
        return renewed === undefined
          ? Promise.reject(new KubeApiError('GET', 404, 'NotFound', 'no lease'))
          : Promise.resolve(lease(renewed));
      },
    };
    const question = { nodeName: 'n1', kubeletStartedMs: started, log: () => undefined, askLeaseBy: systemClock };
    await untilNodeReady(client, question, new AbortController().signal);
    expect(renewals).toEqual([]);
    expect(api.requests.filter(({ path }) => path.includes('/leases'))).toEqual([]);
  });

  test('a refusal is told and not asked for again', async () => {
    const api = await scriptedApi();
    const refused = new KubeApiError('GET', 403, 'Forbidden', 'no');
    const client: KubeClient = { ...api.client, get: () => Promise.reject(refused) };
    const question = { nodeName: 'n1', kubeletStartedMs: started, log: () => undefined, askLeaseBy: systemClock };
    await expect(untilNodeReady(client, question, new AbortController().signal)).rejects.toBe(refused);
  });
});
