/**
 * The service behind units/member/peers.yaml: nodes keep heartbeats with each other, so that one that
 * falls silent is known within seconds, whatever its connections seem to say (demand H9).
 *
 * What it finds goes to the supervisor (status, a warning, figures) and into a file for others of this
 * machine (peer-health.ts). It decides nothing: a silent peer may be a broken cable between two.
 */
import { linkedAbort } from '../../kernel/abort.ts';
import type { Clock } from '../../kernel/clock.ts';
import { deferred } from '../../kernel/deferred.ts';
import { hostOfServer } from '../../probe/connection.ts';
import { parseAddress } from '../ipv4.ts';
import { fileKeeper } from '../file-keeper.ts';
import { followNodes, type NodesClient } from '../follow-nodes.ts';
import { readIfThere } from '../../kernel/stored-file.ts';
import { heartbeatLink } from './heartbeat-link.ts';
import { startHeartbeatServer } from './heartbeat-server.ts';
import { followMemberAddresses } from './follow-member-addresses.ts';
import { followServerAddresses } from './follow-server-addresses.ts';
import { keepRenewed, ownFiles, servingFiles } from './peer-certificates.ts';
import { peerOf, peersBefore, peersOf, peersText, readPeers, withoutNode, type Peer } from './peer-list.ts';
import { newPeer, type PeerState } from './peer-state.ts';
import { peerHealthWriter } from './peer-health-writer.ts';
import { changeText, peerFigures, peerStatus, peerWarning, type PeerHealth } from './peer-text.ts';
import { watchPeer } from './peer-watch.ts';

export interface ServePeersOptions {
  readonly nodeName: string;
  readonly nodeIp: string;
  readonly host: string;
  readonly port: number;
  /** Keys and certificates of this node. */
  readonly tls: string;
  /** Where the peers are kept over a restart. */
  readonly peersFile: string;
  /** Where a server's members of etcd are written down; on an agent it is not there. */
  readonly membersFile: string;
  /** Where their health is told to others of this machine. */
  readonly healthFile: string;
  readonly bootId: string;
  readonly connect: () => Promise<NodesClient>;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  /** To whoever supervises: "READY=1", "STATUS=…". */
  readonly notify: (...lines: readonly string[]) => void;
  readonly signal: AbortSignal;
}

/** Addresses of nodes change with restarts only. */
const rescanMs = 60_000;
/** Figures are told so often while nothing changes. */
const tellEveryMs = 5_000;

interface Watched extends PeerHealth {
  state: PeerState;
  stop(): void;
}

/** Runs until `signal` aborts, and then rejects with its reason. @throws what listening fails with */
export async function servePeers(options: ServePeersOptions): Promise<never> {
  const { nodeName, nodeIp, host, port, tls, peersFile, healthFile, bootId, connect, clock, log, notify, signal } =
    options;
  const { membersFile } = options;
  const files = await servingFiles(tls);
  await using server = await startHeartbeatServer(host, port, files);
  const watched = new Map<string, Watched>();
  const { peers: before, heard: heardBefore } = readPeers(await readIfThere(peersFile));
  let listed = before;
  const heard = new Set(heardBefore);
  const heardOf = () => [...watched.values()].flatMap(({ peer: { ip } }) => (heard.has(ip) ? [ip] : []));
  // A disk that is full must not end the heartbeats of this machine; with each list of nodes it is tried again.
  using keeper = fileKeeper({ file: peersFile, text: () => peersText({ peers: listed, heard: heardOf() }) });
  let toldAtMs = -tellEveryMs;
  const broken = deferred<never>();
  using life = linkedAbort(signal);
  using health = peerHealthWriter({ file: healthFile, bootId, clock, all: () => [...watched.values()] });

  const tell = (isNews: boolean) => {
    const nowMs = clock.monotonicMs();
    if (!isNews && nowMs - toldAtMs < tellEveryMs) return;
    toldAtMs = nowMs;
    if (isNews) health.write();
    const all = [...watched.values()];
    notify(`STATUS=${peerStatus(all)}`, `X_WARNING=${peerWarning(all)}`, `X_FIGURES=${peerFigures(all)}`);
  };
  const watch = (peer: Peer) => {
    const end = linkedAbort(life.signal);
    const entry: Watched = {
      peer,
      state: newPeer,
      get wasHeard() {
        return heard.has(peer.ip);
      },
      stop: () => end.abort(new Error('it is no peer any more')),
    };
    watched.set(peer.name, entry);
    const link = heartbeatLink({ kind: 'tcp', host: peer.ip, port }, ownFiles(tls));
    const watching = watchPeer({
      link,
      clock,
      signal: end.signal,
      peers: () => watched.size,
      onStep({ state, change }) {
        const isNews = change !== undefined || state.id !== entry.state.id;
        entry.state = state;
        if (change !== undefined) log(changeText(entry, change));
        if (state.id === 'alive' && !entry.wasHeard) {
          heard.add(peer.ip);
          keeper.changed();
        }
        tell(isNews);
      },
    });
    watching.catch((error: unknown) => {
      end[Symbol.dispose]();
      // Nothing else may end it: a peer that is not asked any more must not look alive for ever.
      if (!end.signal.aborted) broken.reject(error);
    });
  };
  const take = (peers: readonly Peer[]) => {
    const wanted = new Map(peers.map((peer) => [peer.name, peer]));
    for (const [name, { peer, stop }] of watched) {
      if (wanted.get(name)?.ip === peer.ip) continue;
      stop();
      watched.delete(name);
    }
    for (const peer of peers) if (!watched.has(peer.name)) watch(peer);
    tell(true);
  };

  log(`heartbeats are answered at port ${String(server.port)}`);
  take(before);
  notify('READY=1');
  let nodes: readonly unknown[] | undefined;
  let serverIps = withoutNode(before);
  let memberIps: readonly string[] = [];
  const own = { name: nodeName, ip: nodeIp };
  const takeAll = () => {
    if (nodes === undefined) {
      take(peersBefore(before, memberIps, own));
      return;
    }
    listed = peersOf({ nodes, serverIps: [...serverIps, ...memberIps] }, own);
    take(listed);
    keeper.changed();
  };
  const renewing = keepRenewed({ tls, clock, log, signal: life.signal }, files, (next) => server.renew(next));
  const following = followNodes({
    connect,
    digest: (node) => JSON.stringify(peerOf(node) ?? {}),
    onNodes(all) {
      nodes = all;
      takeAll();
      return Promise.resolve();
    },
    onAway(reason, times) {
      if (times === 1)
        log(`the nodes cannot be followed: ${reason}; the peers are those known from before and members of etcd`);
      return Promise.resolve();
    },
    rescanMs,
    clock,
    signal: life.signal,
  });
  const servers = followServerAddresses({
    connect,
    onServers(all) {
      serverIps = all.flatMap((server) => ipv4Of(server) ?? []);
      takeAll();
    },
    clock,
    random: Math.random,
    signal: life.signal,
  });
  const members = followMemberAddresses({
    file: membersFile,
    onMembers(ips) {
      memberIps = ips;
      takeAll();
    },
    clock,
    signal: life.signal,
  });
  try {
    return await Promise.race([following, servers, members, renewing, broken.promise]);
  } finally {
    life.abort(new Error('heartbeats are kept no more'));
  }
}

/** Of host:port. */
function ipv4Of(server: string): string | undefined {
  const host = hostOfServer(server);
  return parseAddress(host) === undefined ? undefined : host;
}
