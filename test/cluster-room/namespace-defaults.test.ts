import { expect, test } from 'vitest';
import { KubeApiError, type KubeClient } from '../../src/cluster/kube-client.ts';
import { namespaceDefaultsBuiltin } from '../../src/cluster/namespace-defaults.ts';
import { fakeClock } from '../kit/fake-clock.ts';

type Answer = (path: string, body: object) => void;

/** An API whose answers are a function of what is asked, and the builtin that asks it. */
function asked(answer: Answer) {
  const made: { path: string; body: object }[] = [];
  const lines: string[] = [];
  const client = {
    create: (collection: string, body: object) => {
      answer(collection, body);
      made.push({ path: collection, body });
      return Promise.resolve({});
    },
    [Symbol.dispose]: () => undefined,
  } as unknown as KubeClient;
  const clock = fakeClock();
  const builtin = namespaceDefaultsBuiltin({
    ...{ clock, connect: () => Promise.resolve(client) },
    rootCa: () => Promise.resolve('the authority'),
  });
  const signal = new AbortController().signal;
  return {
    made,
    lines,
    run: () => clock.run(builtin({ signal, log: (line: string) => void lines.push(line) } as never)),
  };
}

const paths = ['default', 'kube-system'].flatMap((namespace) =>
  ['serviceaccounts', 'configmaps'].map((kind) => `/api/v1/namespaces/${namespace}/${kind}`),
);

test('makes the ServiceAccount and the CA bundle of the first namespaces', async () => {
  const api = asked(() => undefined);
  await api.run();
  expect(api.made.map(({ path: collection }) => collection)).toEqual(paths);
  expect(api.made[1]?.body).toMatchObject({
    metadata: { name: 'kube-root-ca.crt' },
    data: { 'ca.crt': 'the authority' },
  });
});

test('asks again while nobody listens and while the namespace is not there yet, and says so once each', async () => {
  let count = 0;
  const api = asked(() => {
    count += 1;
    if (count <= 20) throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    if (count <= 30) throw new KubeApiError('POST', 404, 'NotFound', 'namespaces "default" not found');
  });
  await api.run();
  expect(api.made).toHaveLength(paths.length);
  expect(api.lines).toEqual(['connect ECONNREFUSED', 'POST: 404 namespaces "default" not found']);
});

test('takes what is there as it is, and gives up what can never be taken', async () => {
  const there = asked(() => {
    throw new KubeApiError('POST', 409, 'AlreadyExists', 'it is there');
  });
  await there.run();
  expect(there.made).toEqual([]);
  const refused = asked(() => {
    throw new KubeApiError('POST', 422, 'Invalid', 'no');
  });
  await expect(refused.run()).rejects.toThrow('422 no');
});
