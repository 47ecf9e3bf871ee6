import { expect, test } from 'vitest';
import {
  peersBefore,
  peersOf,
  peersText,
  readPeers,
  withoutNode,
  type Peer,
} from '../../../src/cluster/peers/peer-list.ts';
import {
  changeText,
  peerFigures,
  peerStatus,
  peerWarning,
  type PeerHealth,
} from '../../../src/cluster/peers/peer-text.ts';

const node = (name: string, address?: string) => ({
  metadata: { name },
  status: { addresses: address === undefined ? [] : [{ type: 'InternalIP', address }] },
});

test('peers are the other nodes that have an address', () => {
  const nodes = [node('c', '192.0.2.3'), node('a', '192.0.2.1'), node('b'), node('d', 'fd00::1')];
  expect(peersOf({ nodes, serverIps: [] }, { name: 'a', ip: '192.0.2.1' })).toEqual([{ name: 'c', ip: '192.0.2.3' }]);
});

test('a server without a node is one by its address, and nobody is its own', () => {
  const nodes = [node('a', '192.0.2.1'), node('c', '192.0.2.3')];
  const serverIps = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
  const names = (own: Peer) => peersOf({ nodes, serverIps }, own).map(({ name }) => name);
  expect(names({ name: 'a', ip: '192.0.2.1' })).toEqual(['c', '192.0.2.2']);
  expect(names({ name: 'b', ip: '192.0.2.2' })).toEqual(['c', 'a']);
  expect(withoutNode(peersOf({ nodes, serverIps }, { name: 'a', ip: '192.0.2.1' }))).toEqual(['192.0.2.2']);
});

test('one that is both an API server and a member of etcd is one', () => {
  const serverIps = ['192.0.2.2', '192.0.2.2'];
  expect(peersOf({ nodes: [], serverIps }, { name: 'a', ip: '192.0.2.1' })).toHaveLength(1);
});

test('where no API has told yet, they are those from before and members of etcd', () => {
  const kept = [{ name: 'b', ip: '192.0.2.2' }];
  const own = { name: 'a', ip: '192.0.2.1' };
  const peers = peersBefore(kept, ['192.0.2.1', '192.0.2.2', '192.0.2.3'], own);
  expect(peers).toEqual([...kept, { name: '192.0.2.3', ip: '192.0.2.3' }]);
});

test('in a large cluster each node asks 24, and is asked by 24', () => {
  const names = Array.from({ length: 60 }, (_, at) => `n${String(at).padStart(2, '0')}`);
  const nodes = names.map((name, at) => node(name, `192.0.2.${String(at)}`));
  const askedBy = new Map<string, number>();
  for (const own of names) {
    const peers = peersOf({ nodes, serverIps: [] }, { name: own, ip: '198.51.100.1' }).map(({ name }) => name);
    expect(peers).toHaveLength(24);
    expect(peers).not.toContain(own);
    for (const peer of peers) askedBy.set(peer, (askedBy.get(peer) ?? 0) + 1);
  }
  expect(new Set(askedBy.values())).toEqual(new Set([24]));
});

test('they are kept over a restart; a file that is damaged has none', () => {
  const kept = { peers: [{ name: 'b', ip: '192.0.2.2' }], heard: ['192.0.2.2', '192.0.2.3'] };
  expect(readPeers(peersText(kept))).toEqual(kept);
  const earlier = '{"version":1,"peers":[{"name":"b","ip":"192.0.2.2"}]}';
  expect(readPeers(earlier)).toEqual({ ...kept, heard: [] });
  for (const text of [
    undefined,
    '',
    '{',
    '{"version":2,"peers":[]}',
    '{"version":1,"peers":[{"name":"x","ip":"y"}]}',
    '{"version":1,"peers":[],"heard":["y"]}',
  ]) {
    expect(readPeers(text)).toEqual({ peers: [], heard: [] });
  }
});

test('what people and metrics are told', () => {
  const [b, c] = [
    { peer: { name: 'b', ip: '192.0.2.2' }, wasHeard: true, state: { id: 'alive', sinceMs: 0, latencyMs: 2.5 } },
    {
      peer: { name: 'c', ip: '192.0.2.3' },
      wasHeard: true,
      state: { id: 'silent', sinceMs: 0, reason: 'no answer within 0.5 s', wasHeard: true, isLost: true },
    },
  ] as const;
  expect(peerStatus([])).toBe('no other node yet');
  expect(peerStatus([b])).toBe('1 of 1 peer answers, the slowest in 2.5 ms');
  const silent = 'c (192.0.2.3) since 00:00:00Z: no answer within 0.5 s';
  expect(peerStatus([b, c])).toBe(`1 of 2 peers answer, the slowest in 2.5 ms; silent: ${silent}`);
  expect(peerWarning([b])).toBe('');
  expect(peerWarning([b, c])).toBe(`no heartbeat from ${silent}`);
  expect(peerFigures([b, c])).toBe('peers=2 peers_silent=1 peers_unheard=0 slowest_answer_seconds=0.002500');
  expect(changeText(c, 'silent')).toBe('c at 192.0.2.3 is silent: no answer within 0.5 s');
  expect(changeText(b, 'back')).toBe('b at 192.0.2.2 is back');
});

test('one that was never heard is told of, and nobody is warned of it', () => {
  const never: PeerHealth = {
    peer: { name: '192.0.2.4', ip: '192.0.2.4' },
    wasHeard: false,
    state: { id: 'silent', sinceMs: 0, reason: 'connect ECONNREFUSED', wasHeard: false, isLost: false },
  };
  expect(peerStatus([never])).toBe('0 of 1 peer answers; never heard: 192.0.2.4 (192.0.2.4): connect ECONNREFUSED');
  expect(peerWarning([never])).toBe('');
  expect(peerFigures([never])).toBe('peers=1 peers_silent=0 peers_unheard=1');
  expect(changeText(never, 'silent')).toContain('was never heard (connect ECONNREFUSED): it keeps no heartbeat, or');
  const answering: PeerHealth = { ...never, state: { id: 'alive', sinceMs: 0, latencyMs: 1 } };
  expect(changeText(answering, 'back')).toBe('192.0.2.4 at 192.0.2.4 is heard now');
  // Heard by an earlier process of this node, which was restarted while the other one was away.
  expect(peerWarning([{ ...never, wasHeard: true }])).toContain('no heartbeat from 192.0.2.4');
});
