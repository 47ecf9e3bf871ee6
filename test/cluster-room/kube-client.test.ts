import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { scriptedApi, type ScriptedApi } from './scripted-api.ts';

const pods = '/api/v1/namespaces/default/pods';
const named = (name: string, extra: object = {}) => ({ metadata: { name }, ...extra });
const nameOf = (object: unknown) => (object as { metadata: { name: string } }).metadata.name;

describe('requests', () => {
  test('one connection serves many of them', async () => {
    const api = await scriptedApi();
    const { signal } = new AbortController();
    for (let count = 0; count < 5; count += 1) await api.client.get(pods, signal);
    expect(api.requests).toHaveLength(5);
    expect(api.connections()).toBe(1);
  });

  test('what the API refuses is told with its status, reason and message', async () => {
    const api = await scriptedApi();
    api.answerNext(409, { kind: 'Status', reason: 'AlreadyExists', message: 'pods "a" already exists' });
    await expect(api.client.create(pods, named('a'), new AbortController().signal)).rejects.toMatchObject({
      status: 409,
      reason: 'AlreadyExists',
      message: `POST ${pods}: 409 pods "a" already exists`,
    });
  });

  test('deleting what is not there is fine, being refused is not', async () => {
    const api = await scriptedApi();
    const { signal } = new AbortController();
    api.answerNext(404, { reason: 'NotFound', message: 'no such pod' });
    await api.client.delete(`${pods}/a`, signal);
    api.answerNext(403, { reason: 'Forbidden', message: 'no' });
    await expect(api.client.delete(`${pods}/a`, signal)).rejects.toMatchObject({ status: 403 });
  });

  test('apply says who applies and takes the fields over', async () => {
    const api = await scriptedApi();
    await api.client.apply(`${pods}/a`, named('a'), new AbortController().signal);
    expect(api.requests[0]).toMatchObject({
      method: 'PATCH',
      path: `${pods}/a?fieldManager=k3s-lite&force=true&fieldValidation=Strict`,
    });
  });

  test('an abort ends a request and leaves no listener', async () => {
    const api = await scriptedApi();
    const controller = new AbortController();
    await api.client.get(pods, controller.signal);
    await expect.poll(() => getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    controller.abort(new Error('enough'));
    await expect(api.client.get(pods, controller.signal)).rejects.toThrow('enough');
  });
});

/** Reads a watch in the background; an asynchronous generator only goes on while somebody waits for it. */
function follow(api: ScriptedApi) {
  const controller = new AbortController();
  const seen: string[] = [];
  const ended = (async () => {
    for await (const { type, object } of api.client.watch(pods, {}, controller.signal))
      seen.push(`${type} ${nameOf(object)}`);
  })();
  ended.catch(() => undefined); // an aborted watch ends with the reason
  return { seen, ended, controller };
}

describe('watches', () => {
  test('what is there comes first, then every change', async () => {
    const api = await scriptedApi();
    api.set(pods, named('a'));
    const { seen, ended, controller } = follow(api);
    await expect.poll(api.openWatches).toBe(1);
    api.set(pods, named('b'));
    api.set(pods, named('a', { spec: {} }));
    api.remove(pods, 'b');
    await expect.poll(() => seen).toEqual(['ADDED a', 'ADDED b', 'MODIFIED a', 'DELETED b']);
    controller.abort(new Error('enough'));
    await expect(ended).rejects.toThrow('enough');
    await expect.poll(api.openWatches).toBe(0);
    await expect.poll(() => getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });

  test.each([
    ['ended by the server', 'endWatches'],
    ['broken off', 'breakWatches'],
    ['too old', 'compact'],
  ] as const)('one that was %s goes on and misses nothing', async (_, disturb) => {
    const api = await scriptedApi();
    api.set(pods, named('a'));
    const { seen, controller } = follow(api);
    await expect.poll(api.openWatches).toBe(1);
    api[disturb]();
    api.set(pods, named('b'));
    await expect.poll(() => seen, { timeout: 5000 }).toContain('ADDED b');
    controller.abort(new Error('enough'));
  });

  test('a server that is not there yet is waited for, a refusal is final', async () => {
    const api = await scriptedApi();
    api.answerNext(503, { reason: 'ServiceUnavailable', message: 'starting' });
    api.set(pods, named('a'));
    for await (const { object } of api.client.watch(pods, {}, new AbortController().signal)) {
      expect(nameOf(object)).toBe('a');
      break;
    }
    api.answerNext(403, { reason: 'Forbidden', message: 'no' });
    const refused = api.client.watch(pods, {}, new AbortController().signal)[Symbol.asyncIterator]().next();
    await expect(refused).rejects.toMatchObject({ status: 403 });
  });

  test('an abort ends it with the reason', async () => {
    const api = await scriptedApi();
    const controller = new AbortController();
    const next = api.client.watch(pods, {}, controller.signal)[Symbol.asyncIterator]().next();
    await expect.poll(api.openWatches).toBe(1);
    controller.abort(new Error('enough'));
    await expect(next).rejects.toThrow('enough');
    await expect.poll(api.openWatches).toBe(0);
  });
});
