import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { followPeerHealth } from '../../../src/cluster/peers/follow-peer-health.ts';
import { believedForMs, noHeartbeats, peerHealthText, readPeerHealth } from '../../../src/cluster/peers/peer-health.ts';
import type { PeerState } from '../../../src/cluster/peers/peer-state.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { temporaryFolder } from '../settings-kit.ts';

const now = { bootId: 'this boot', nowMs: 50_000 };
const alive: PeerState = { id: 'alive', sinceMs: 0, latencyMs: 2 };
const silent: PeerState = { id: 'silent', sinceMs: 0, reason: 'no answer', wasHeard: true, isLost: true };
const refusing: PeerState = { ...silent, isLost: false };

const text = (states: readonly PeerState[], at = now) =>
  peerHealthText(
    states.map((state, index) => ({ peer: { name: `n${String(index)}`, ip: `192.0.2.${String(index)}` }, state })),
    at,
  );

test('who is heard and who is lost; of one that refuses or is new nothing is said', () => {
  const doubtful: PeerState = { id: 'doubtful', sinceMs: 0, latencyMs: 1, reason: 'late' };
  const untried: PeerState = { ...doubtful, latencyMs: undefined };
  expect(readPeerHealth(text([alive, silent, refusing, { id: 'new' }, doubtful, untried, alive]), now)).toEqual({
    heard: ['192.0.2.0', '192.0.2.6', '192.0.2.4'],
    lost: ['192.0.2.1'],
  });
});

test('a node that hears nobody says nothing of others: it is itself that is cut off', () => {
  expect(readPeerHealth(text([silent, silent]), now)).toEqual(noHeartbeats);
});

test('a node whose own cable is out hears its peers fall silent one after the other, and says of none that it is lost', () => {
  const doubtful: PeerState = { id: 'doubtful', sinceMs: 0, latencyMs: 1, reason: 'late' };
  for (const states of [
    [doubtful, doubtful, doubtful],
    [silent, doubtful, doubtful],
    [silent, silent, doubtful],
    [silent, silent, silent],
  ]) {
    expect(readPeerHealth(text(states), now)).toEqual(noHeartbeats);
  }
  expect(readPeerHealth(text([silent, doubtful, alive, alive]), now).lost).toEqual(['192.0.2.0']);
});

test('what is old, of another boot or damaged keeps no server out', () => {
  const written = text([alive, silent]);
  const at = (nowMs: number, bootId = now.bootId) => readPeerHealth(written, { bootId, nowMs });
  expect(at(now.nowMs + believedForMs).lost).toEqual(['192.0.2.1']);
  expect(at(now.nowMs + believedForMs + 1)).toEqual(noHeartbeats);
  expect(at(now.nowMs - 1)).toEqual(noHeartbeats);
  expect(at(now.nowMs, 'another boot')).toEqual(noHeartbeats);
  for (const other of [undefined, '', '{', written.slice(0, -5), written.replace('192.0.2.1', 'n1')]) {
    expect(readPeerHealth(other, now)).toEqual(noHeartbeats);
  }
});

test('a file is followed: from before its folder is there, through changes, until nobody writes it any more', async () => {
  const folder = path.join(temporaryFolder(), 'run');
  const file = path.join(folder, 'peer-health.json');
  const end = new AbortController();
  const told: string[] = [];
  const following = followPeerHealth({
    file,
    bootId: now.bootId,
    clock: systemClock,
    onChange: ({ heard, lost }) => void told.push(`${String(heard.length)} heard, ${String(lost.length)} lost`),
    signal: end.signal,
  });
  const write = (states: readonly PeerState[], ageMs = 0) =>
    writeFileSync(file, text(states, { ...now, nowMs: systemClock.monotonicMs() - ageMs }));
  mkdirSync(folder);
  write([alive, alive]);
  await expect.poll(() => told, { timeout: 10_000 }).toEqual(['2 heard, 0 lost']);
  write([alive, silent]);
  await expect.poll(() => told.slice(1), { timeout: 10_000 }).toEqual(['1 heard, 1 lost']);
  // Almost too old: nothing but time makes it so.
  write([alive, silent], believedForMs - 500);
  await expect.poll(() => told.slice(2), { timeout: 10_000 }).toEqual(['0 heard, 0 lost']);
  rmSync(file);
  end.abort(new Error('enough'));
  await expect(following).rejects.toThrow('enough');
});
