/** What is told of the peers to people and to the metrics. Pure. */
import type { Peer } from './peer-list.ts';
import type { PeerState } from './peer-state.ts';

export interface PeerHealth {
  readonly peer: Peer;
  readonly state: PeerState;
}

const isUp = ({ id }: PeerState): boolean => id === 'alive' || id === 'doubtful';

function silentOnes(all: readonly PeerHealth[]): readonly string[] {
  return all.flatMap(({ peer, state }) =>
    state.id === 'silent'
      ? [`${peer.name} (${peer.ip}) since ${new Date(state.sinceMs).toISOString().slice(11, 19)}Z: ${state.reason}`]
      : [],
  );
}

/** One line. */
export function peerStatus(all: readonly PeerHealth[]): string {
  if (all.length === 0) return 'no other node yet';
  const up = all.filter(({ state }) => isUp(state)).length;
  const silent = silentOnes(all);
  const slowest = slowestOf(all);
  const latency = slowest === undefined ? '' : `, the slowest in ${slowest.toFixed(1)} ms`;
  const answering = `${String(up)} of ${String(all.length)} ${all.length === 1 ? 'peer answers' : 'peers answer'}${latency}`;
  return silent.length === 0 ? answering : `${answering}; silent: ${silent.join(', ')}`;
}

/** Empty when there is nothing to be warned of. */
export function peerWarning(all: readonly PeerHealth[]): string {
  const silent = silentOnes(all);
  return silent.length === 0 ? '' : `no heartbeat from ${silent.join(', ')}`;
}

/** "peers=3 peers_silent=1 …", by name. */
export function peerFigures(all: readonly PeerHealth[]): string {
  const silent = all.filter(({ state }) => state.id === 'silent').length;
  const slowest = slowestOf(all);
  return [
    `peers=${String(all.length)}`,
    `peers_silent=${String(silent)}`,
    ...(slowest === undefined ? [] : [`slowest_answer_seconds=${(slowest / 1000).toFixed(6)}`]),
  ].join(' ');
}

function slowestOf(all: readonly PeerHealth[]): number | undefined {
  const latencies = all.flatMap(({ state }) =>
    'latencyMs' in state && state.latencyMs !== undefined ? [state.latencyMs] : [],
  );
  return latencies.length === 0 ? undefined : Math.max(...latencies);
}
