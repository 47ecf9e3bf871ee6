import { expect, test } from 'vitest';
import type { EtcdMember } from '../../../src/cluster/etcd/etcd-messages.ts';
import { serverList, serversOf, type OwnServer } from '../../../src/cluster/join/server-list.ts';
import { knownServers } from '../../../src/cluster/join/wire.ts';
import { abortError } from '../../../src/kernel/abort.ts';
import { fakeClock } from '../../kit/fake-clock.ts';

const own: OwnServer = {
  name: 's1',
  ip: '192.0.2.1',
  joinPort: 9345,
  apiPort: 6443,
  hasApi: true,
  etcdPort: 2379,
  hasEtcd: true,
};
const member = (name: string, host: string): EtcdMember => ({
  id: host,
  name,
  peerUrls: [`https://${host}:2380`],
  clientUrls: name === '' ? [] : [`https://${host}:2379`],
  isLearner: false,
});
const s1 = { name: 's1', join: 'https://192.0.2.1:9345', api: '192.0.2.1:6443', etcd: '192.0.2.1:2379' };

test('the one that answers is the first, then members and API servers, each once', () => {
  const members = [member('s3', '192.0.2.3'), member('s2', '192.0.2.2'), member('s1', '192.0.2.1')];
  const list = serversOf(own, members, ['192.0.2.2', '192.0.2.1', '192.0.2.4']);
  expect(list.servers).toEqual([
    s1,
    { name: 's2', join: 'https://192.0.2.2:9345', api: '192.0.2.2:6443', etcd: '192.0.2.2:2379' },
    { name: 's3', join: 'https://192.0.2.3:9345', etcd: '192.0.2.3:2379' },
    { join: 'https://192.0.2.4:9345', api: '192.0.2.4:6443' },
  ]);
  expect(knownServers.parse(list)).toEqual(list);
});

test('what a server does not have it does not tell of', () => {
  expect(serversOf({ ...own, hasApi: false }, [], []).servers[0]).not.toHaveProperty('api');
  expect(serversOf({ ...own, hasEtcd: false }, [], []).servers[0]).not.toHaveProperty('etcd');
});

test('a member that has never run tells nobody anything', () => {
  expect(serversOf(own, [member('', '192.0.2.2')], []).servers).toEqual([s1]);
});

test('while etcd is silent, the last list counts', async () => {
  const clock = fakeClock();
  let isSilent = false;
  const { signal } = new AbortController();
  const list = serverList({
    own,
    members: (end) =>
      isSilent
        ? new Promise((_, reject) => end.addEventListener('abort', () => reject(abortError(end))))
        : Promise.resolve([member('s2', '192.0.2.2')]),
    apiAddresses: () => Promise.resolve([]),
    clock,
    signal,
  });
  expect((await list()).servers).toHaveLength(2);
  isSilent = true;
  const asked = list();
  await clock.advance(1_500);
  expect((await asked).servers).toHaveLength(2);
});
