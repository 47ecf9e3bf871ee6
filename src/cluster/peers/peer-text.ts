/**
 * What is told of the peers to people and to the metrics. Pure.
 *
 * One that has never been heard, neither now nor before a restart, may keep no heartbeats at all (a member of etcd or a
 * node that is not ours) or have a firewall before its port. It is told of for as long as it is so, and not warned
 * of: nothing has fallen silent, and a warning that stands for ever hides the next one.
 */
import type { Peer } from './peer-list.ts';
import type { PeerState } from './peer-state.ts';

export interface PeerHealth {
  readonly peer: Peer;
  readonly state: PeerState;
  /** It has answered before, perhaps an earlier process of this node. */
  readonly wasHeard: boolean;
}

const isUp = ({ id }: PeerState): boolean => id === 'alive' || id === 'doubtful';

/** Without an answer, each with its reason. */
const withoutAnswer = (all: readonly PeerHealth[], { wasHeard }: Pick<PeerHealth, 'wasHeard'>) =>
  all.flatMap(({ peer, state, ...health }) =>
    state.id === 'silent' && health.wasHeard === wasHeard ? [{ ...peer, ...state }] : [],
  );

const silentOnes = (all: readonly PeerHealth[]): readonly string[] =>
  withoutAnswer(all, { wasHeard: true }).map(
    ({ name, ip, sinceMs, reason }) =>
      `${name} (${ip}) since ${new Date(sinceMs).toISOString().slice(11, 19)}Z: ${reason}`,
  );

const unheardOnes = (all: readonly PeerHealth[]): readonly string[] =>
  withoutAnswer(all, { wasHeard: false }).map(({ name, ip, reason }) => `${name} (${ip}): ${reason}`);

/** One line. */
export function peerStatus(all: readonly PeerHealth[]): string {
  if (all.length === 0) return 'no other node yet';
  const up = all.filter(({ state }) => isUp(state)).length;
  const slowest = slowestOf(all);
  const latency = slowest === undefined ? '' : `, the slowest in ${slowest.toFixed(1)} ms`;
  const answering = `${String(up)} of ${String(all.length)} ${all.length === 1 ? 'peer answers' : 'peers answer'}${latency}`;
  const parts = [part('silent', silentOnes(all)), part('never heard', unheardOnes(all))];
  return answering + parts.join('');
}

const part = (what: string, ones: readonly string[]): string =>
  ones.length === 0 ? '' : `; ${what}: ${ones.join(', ')}`;

/** Empty when there is nothing to be warned of. */
export function peerWarning(all: readonly PeerHealth[]): string {
  const silent = silentOnes(all);
  return silent.length === 0 ? '' : `no heartbeat from ${silent.join(', ')}`;
}

/** For the log. */
export function changeText({ peer: { name, ip }, state, wasHeard }: PeerHealth, change: 'silent' | 'back'): string {
  if (change === 'back') return `${name} at ${ip} is ${wasHeard ? 'back' : 'heard now'}`;
  const reason = state.id === 'silent' ? state.reason : '';
  return wasHeard
    ? `${name} at ${ip} is silent: ${reason}`
    : `${name} at ${ip} was never heard (${reason}): it keeps no heartbeat, or its port cannot be reached from here`;
}

/** "peers=3 peers_silent=1 peers_unheard=0 …", by name. */
export function peerFigures(all: readonly PeerHealth[]): string {
  const slowest = slowestOf(all);
  return [
    `peers=${String(all.length)}`,
    `peers_silent=${String(silentOnes(all).length)}`,
    `peers_unheard=${String(unheardOnes(all).length)}`,
    ...(slowest === undefined ? [] : [`slowest_answer_seconds=${(slowest / 1000).toFixed(6)}`]),
  ].join(' ');
}

function slowestOf(all: readonly PeerHealth[]): number | undefined {
  const latencies = all.flatMap(({ state }) =>
    'latencyMs' in state && state.latencyMs !== undefined ? [state.latencyMs] : [],
  );
  return latencies.length === 0 ? undefined : Math.max(...latencies);
}
