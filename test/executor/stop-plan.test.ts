/** Which units a stop takes along, in which order, and when it is refused (design contract 1). */
import { expect, test } from 'vitest';
import { hardDependents, inStopOrder, planStop } from '../../src/executor/stop-plan.ts';
import { deferred } from '../../src/kernel/deferred.ts';
import { fakeGraph } from '../kit/fake-graph.ts';

// kubelet → apiserver → etcd (hard), dns → apiserver (soft), metrics → etcd (parallel).
const graph = fakeGraph('kubelet -> hard api; api -> hard etcd; dns -> soft api; metrics -> parallel etcd; etcd');
const plan = (units: readonly string[], options: { cascade?: boolean; down?: readonly string[] } = {}) => {
  const isWantedUp = (unit: string) => options.down?.includes(unit) !== true;
  return planStop({ graph, units, cascade: options.cascade ?? false, isWantedUp });
};

test.each([
  ['a unit without dependents', ['kubelet'], {}, ['kubelet']],
  ['one with dependents that are down', ['api'], { down: ['kubelet'] }, ['api']],
  ['soft and parallel dependents do without it', ['etcd'], { down: ['api', 'kubelet'] }, ['etcd']],
  ['named together with its dependents', ['etcd', 'api', 'kubelet'], {}, ['kubelet', 'api', 'etcd']],
  ['with --cascade, all that need it, dependents first', ['etcd'], { cascade: true }, ['kubelet', 'api', 'etcd']],
] as const)('a stop of %s', (_name, units, options, expected) => {
  expect(plan(units, options)).toEqual(expected);
});

test('a stop of what is needed is refused, and names all that need it', () => {
  expect(() => plan(['etcd'])).toThrow('cannot stop etcd: needed by kubelet, api');
  expect(() => plan(['etcd', 'api'])).toThrow('needed by kubelet');
  expect(hardDependents({ graph, units: ['api'], isWantedUp: () => true })).toEqual(['kubelet']);
});

test('each is stopped when all that go before it have ended, and those that are not asked for are not waited for', async () => {
  const gates = new Map(['kubelet', 'api', 'etcd'].map((name) => [name, deferred()]));
  const begun: string[] = [];
  const done = inStopOrder(
    gates.keys(),
    (name) => graph.stopsAfter(name),
    (name) => {
      begun.push(name);
      return gates.get(name)?.promise ?? Promise.resolve();
    },
  );
  for (const [index, name] of ['kubelet', 'api', 'etcd'].entries()) {
    await expect.poll(() => begun).toEqual(['kubelet', 'api', 'etcd'].slice(0, index + 1));
    gates.get(name)?.resolve();
  }
  await done;
});
