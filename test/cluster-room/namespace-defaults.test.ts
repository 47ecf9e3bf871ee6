import { expect, test } from 'vitest';
import { KubeApiError, type KubeClient } from '../../src/cluster/kube-client.ts';
import { namespaceDefaultsBuiltin } from '../../src/cluster/namespace-defaults.ts';
import { fakeClock } from '../kit/fake-clock.ts';

type Answer = (path: string, body: object) => void;

interface Standing {
  /** Objects that are there already. */
  readonly there?: readonly string[];
  /** Whether the whole server is ready. */
  readonly isReady?: () => boolean;
}

/** An API whose answers are a function of what is asked, and the builtin that asks it. */
function asked(answer: Answer, { there = [], isReady = () => false }: Standing = {}) {
  const made: { path: string; body: object }[] = [];
  const lines: string[] = [];
  const client = {
    create: (collection: string, body: object) => {
      answer(collection, body);
      made.push({ path: collection, body });
      return Promise.resolve({});
    },
    get: (object: string) =>
      there.includes(object) ? Promise.resolve({}) : Promise.reject(new KubeApiError('GET', 404, 'NotFound', 'none')),
    [Symbol.dispose]: () => undefined,
  } as unknown as KubeClient;
  const clock = fakeClock();
  const builtin = namespaceDefaultsBuiltin({
    ...{ clock, connect: () => Promise.resolve(client) },
    rootCa: () => Promise.resolve('the authority'),
  });
  const signal = new AbortController().signal;
  const log = (line: string) => void lines.push(line);
  return {
    made,
    lines,
    run: () =>
      clock.run(builtin({ signal, log, snapshotOf: () => ({ state: isReady() ? 'ready' : 'starting' }) } as never)),
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

test('takes what is there as it is', async () => {
  const api = asked(() => {
    throw new KubeApiError('POST', 409, 'AlreadyExists', 'it is there');
  });
  await api.run();
  expect(api.made).toEqual([]);
});

test.each([
  ['a quota that is used up', 403],
  ['a policy that wants it otherwise', 422],
  ['a webhook that nobody answers yet', 500],
])('%s is asked before the store: what is there is there', async (_name, status) => {
  const objects = ['serviceaccounts/default', 'configmaps/kube-root-ca.crt'];
  const there = ['default', 'kube-system'].flatMap((namespace) =>
    objects.map((object) => `/api/v1/namespaces/${namespace}/${object}`),
  );
  const refuse = () => {
    throw new KubeApiError('POST', status, 'No', 'no');
  };
  const api = asked(refuse, { there });
  await api.run();
  expect(api.lines).toEqual([]);
});

test('what is refused for good, or when the whole server is ready, is left to the controllers', async () => {
  const invalid = asked(() => {
    throw new KubeApiError('POST', 422, 'Invalid', 'no');
  });
  await invalid.run();
  expect(invalid.lines).toEqual(['the rest is left to the controllers: POST: 422 no']);
  let count = 0;
  const full = asked(
    () => {
      count += 1;
      throw new KubeApiError('POST', 403, 'Forbidden', 'exceeded quota');
    },
    { isReady: () => count >= 3 },
  );
  await full.run();
  expect(count).toBe(4);
  expect(full.lines.at(-1)).toBe('the rest is left to the controllers: POST: 403 exceeded quota');
});
