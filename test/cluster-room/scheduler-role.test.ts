import { expect, test } from 'vitest';
import { KubeApiError, type KubeClient } from '../../src/cluster/kube-client.ts';
import { schedulerRoleBuiltin } from '../../src/cluster/scheduler-role.ts';
import { fakeClock } from '../kit/fake-clock.ts';

/** An API whose first answers are these, and the builtin that waits for another. */
function answering(refusals: readonly Error[], readyAfter = Infinity) {
  const left = [...refusals];
  let asked = 0;
  const lines: string[] = [];
  const client = {
    get: () => {
      asked += 1;
      const refused = left.shift();
      return refused === undefined ? Promise.resolve({}) : Promise.reject(refused);
    },
    [Symbol.dispose]: () => undefined,
  } as unknown as KubeClient;
  const clock = fakeClock();
  const builtin = schedulerRoleBuiltin({ clock, connect: () => Promise.resolve(client) });
  const context = {
    signal: new AbortController().signal,
    log: (line: string) => void lines.push(line),
    snapshotOf: () => ({ state: asked >= readyAfter ? 'ready' : 'starting' }),
  };
  return { left, lines, run: () => clock.run(builtin(context as never)) };
}

const refusal = (status: number, message: string) => new KubeApiError('GET', status, 'No', message);
const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

test('waits while nobody listens, while nothing is granted and while the server cannot say, and says each once', async () => {
  const forbidden = refusal(403, 'nodes is forbidden');
  const api = answering([refused, refused, forbidden, forbidden, refusal(500, 'not yet'), forbidden]);
  await api.run();
  expect(api.left).toEqual([]);
  expect(api.lines).toEqual([
    'connect ECONNREFUSED',
    'GET: 403 nodes is forbidden',
    'GET: 500 not yet',
    'GET: 403 nodes is forbidden',
  ]);
});

test('does not wait for a certificate to be believed that is not', async () => {
  await expect(answering([refused, refusal(401, 'Unauthorized')]).run()).rejects.toThrow('401 Unauthorized');
});

test('judges nobody: what is refused when the whole server is ready is the scheduler’s to find out', async () => {
  const forbidden = refusal(403, 'nodes is forbidden');
  const api = answering([forbidden, forbidden, forbidden, forbidden, forbidden], 3);
  await api.run();
  expect(api.left).toHaveLength(1);
});
