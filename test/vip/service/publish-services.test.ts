import { expect, test } from 'vitest';
import { servicePublisher } from '../../../src/vip/service/publish-services.ts';
import { fakeClock } from '../../kit/fake-clock.ts';
import { service } from './service-kit.ts';

test('[V12] of the address that API servers share events are written, to their Service, and nothing else', async () => {
  const clock = fakeClock();
  const written: string[] = [];
  const end = new AbortController();
  const note = (path: string, body: object) => {
    const { involvedObject, reason, message } = body as { involvedObject?: object; reason?: string; message?: string };
    const { name } = (involvedObject ?? {}) as { name?: string };
    written.push(reason === undefined ? path : `${String(name)} ${reason}: ${String(message)}`);
    return Promise.resolve({});
  };
  using publisher = servicePublisher({
    api: {
      get: () => Promise.resolve({}),
      create: note,
      apply: note,
      // eslint-disable-next-line @typescript-eslint/require-await -- nobody watches here
      async *watch() {
        yield* [];
      },
    },
    clock,
    random: () => 0.5,
    log: (line) => written.push(line),
    signal: end.signal,
  });
  const vip = '192.0.2.10';
  publisher.services([], [service('kubernetes', { spec: { type: 'ClusterIP', loadBalancerClass: undefined } })]);
  const holds = async (...node: readonly string[]) => {
    publisher.holders(new Map(node.map((name) => [vip, name])), [vip]);
    await clock.settle();
    return written.splice(0);
  };
  // What it had before this one coordinated is no news.
  expect(await holds('s1')).toEqual([]);
  expect(await holds('s2')).toEqual([`kubernetes Moved: ${vip} moved from s1 to s2`]);
  expect(await holds('s2')).toEqual([]);
  expect(await holds()).toEqual([`kubernetes Lost: ${vip} is held by no node`]);
  expect(await holds('s1')).toEqual([`kubernetes Assigned: ${vip} is held by s1`]);
  publisher.holders(undefined);
  expect(await holds('s2')).toEqual([]);
});
