/** Where everything of the shipped units lies under the data directory. One place, so that units, certificates and clean-up agree. */

export interface Layout {
  /** Keys and certificates of the control plane. Mode 0700. */
  readonly serverTls: string;
  /** What remembers that all of these were found good. */
  readonly certificateStamp: string;
  /** Keys and certificates of this node. Mode 0700. */
  readonly agentTls: string;
  readonly serverCred: string;
  readonly agentCred: string;
  readonly etcdData: string;
  /** By which the API server of the same machine reaches etcd. */
  readonly etcdSocket: string;
  /** What etcd is told of its cluster when it first starts. */
  readonly etcdEnv: string;
  /** The members of etcd, as this machine last knew them. */
  readonly etcdMembers: string;
  /** What a further server was told when it joined. */
  readonly serverJoined: string;
  /** Source: K3s, the same place. */
  readonly etcdSnapshots: string;
  /** There after a reset until the next start without one. Source: K3s, the same name. */
  readonly resetFlag: string;
  /** There while this server leaves cluster DNS, and until its DNS answers again. */
  readonly dnsLeaving: string;
  /** The tokens that machines join with. Source: K3s, the same names. */
  readonly serverToken: string;
  readonly nodeToken: string;
  /** Which rotation they are of. */
  readonly tokenRotation: string;
  /** Files whose objects are applied and kept. */
  readonly manifests: string;
  /** What each of them has made. */
  readonly manifestsRecord: string;
  /** Configuration files of the node's components. */
  readonly agentEtc: string;
  readonly cniConf: string;
  readonly images: string;
  readonly containerdRoot: string;
  readonly containerdState: string;
  readonly containerdSocket: string;
  readonly kubeletRoot: string;
  /** Results and addresses of the CNI plugins. */
  readonly cniState: string;
  /** By which this node keeps its name in the cluster. */
  readonly nodePassword: string;
  /** Servers of the cluster that this node knows. */
  readonly knownServers: string;
  /** Certificates that somebody has asked to be made anew. */
  readonly rotation: string;
  /** The last change of the routes to other nodes' pods, as `ip` was given it. */
  readonly podRoutesBatch: string;
  /** What the process of virtual IPs keeps over its restarts: who it is, and which addresses it has added. */
  readonly vipState: string;
  /** Other nodes that this one keeps heartbeats with. */
  readonly peers: string;
  /** Which of them answer, for others of this machine. */
  readonly peerHealth: string;
  /** What this node was told when it joined. */
  readonly joined: string;
  /** The token that this agent has joined with: it asks for further servers with it. */
  readonly agentToken: string;
  /** What this node's balancers know, over their restarts. */
  readonly balancerStores: string;
  /** What was found before we changed it (kernel settings, folders). */
  readonly undoState: string;
}

export interface LayoutPlace {
  readonly dataDir: string;
  readonly runDir: string;
}

export function layoutOf({ dataDir, runDir }: LayoutPlace): Layout {
  const server = `${dataDir}/server`;
  const agent = `${dataDir}/agent`;
  return {
    serverTls: `${server}/tls`,
    certificateStamp: `${server}/tls/checked.json`,
    agentTls: `${agent}/tls`,
    serverCred: `${server}/cred`,
    agentCred: `${agent}/cred`,
    etcdData: `${server}/db/etcd`,
    etcdSocket: `${runDir}/etcd.sock`,
    etcdEnv: `${server}/db/etcd.env`,
    etcdMembers: `${server}/db/etcd-members.json`,
    serverJoined: `${server}/joined.json`,
    etcdSnapshots: `${server}/db/snapshots`,
    resetFlag: `${server}/db/reset-flag`,
    dnsLeaving: `${server}/dns-leaving`,
    serverToken: `${server}/token`,
    nodeToken: `${server}/node-token`,
    tokenRotation: `${server}/token-rotation.json`,
    manifests: `${server}/manifests`,
    manifestsRecord: `${server}/manifests.json`,
    agentEtc: `${agent}/etc`,
    cniConf: `${agent}/etc/cni/net.d`,
    images: `${agent}/images`,
    containerdRoot: `${agent}/containerd`,
    containerdState: `${runDir}/containerd`,
    containerdSocket: `${runDir}/containerd/containerd.sock`,
    kubeletRoot: `${agent}/kubelet`,
    cniState: `${agent}/cni`,
    nodePassword: `${agent}/node-password`,
    knownServers: `${agent}/known-servers.json`,
    rotation: `${dataDir}/rotate-certificates.json`,
    vipState: `${agent}/vip`,
    podRoutesBatch: `${agent}/pod-routes.batch`,
    peers: `${agent}/peers.json`,
    peerHealth: `${runDir}/peer-health.json`,
    joined: `${agent}/joined.json`,
    agentToken: `${agent}/token`,
    balancerStores: `${agent}/lb`,
    undoState: `${agent}/undo`,
  };
}
