/**
 * What a cluster is made of: which programs, what each is built from, which versions go together.
 *
 * A new program is a new row here (and a Go module under components/ if it is built by us); finding,
 * building, verifying and moving follow from the row. The versions written here are the ones that
 * components/<module>/go.mod requires: a test compares them.
 */

/** Versions of a program that the shipped units and the rest of the cluster can work with. */
export type VersionRule =
  /** From `atLeast`, below `below` if given. `because` says who demands it. */
  | { readonly kind: 'range'; readonly atLeast: string; readonly below?: string; readonly because: string }
  /** At most so many minor versions older and newer than kube-apiserver. */
  | { readonly kind: 'skew'; readonly older: number; readonly newer: number }
  /** Any version will do. */
  | { readonly kind: 'any' };

/** What needs a program: every server, every node that runs pods, or only people and tests. */
export type Role = 'control-plane' | 'node' | 'tool';

export interface ProgramSpec {
  readonly name: string;
  readonly role: Role;
  /**
   * How it tells its version: its arguments, and a pattern that only this program's answer matches
   * and whose first group is the version.
   */
  readonly version: { readonly args: readonly string[]; readonly pattern: RegExp };
  readonly rule: VersionRule;
  /** The version that our own build gives. */
  readonly builds?: string;
  /** Folders outside PATH where distributions put it. */
  readonly alsoIn?: readonly string[];
}

/** One thing that `components build` makes, with one run of `go build`. */
export interface Artefact {
  readonly name: string;
  /** Folder under components/. */
  readonly module: string;
  /** Go packages; several are named after the last word of their path, a single one after `output`. */
  readonly packages: readonly string[];
  readonly output?: string;
  /** Further names of `output`, made as symbolic links: a multi-call binary. */
  readonly links?: readonly string[];
  readonly tags?: readonly string[];
  readonly ldflags: readonly string[];
  /** A build with nothing cached, on two cores. Measured; only for the estimate that people see. */
  readonly coldSeconds: number;
  readonly programs: readonly ProgramSpec[];
}

/** A program of the distribution: looked for, never built. */
export interface DistributionProgram extends ProgramSpec {
  /** Its Debian package. */
  readonly package: string;
}

export interface Manifest {
  readonly artefacts: readonly Artefact[];
  readonly distribution: readonly DistributionProgram[];
}

export const kubernetesVersion = '1.36.3';
const etcdVersion = '3.6.8';
const containerdVersion = '2.2.9';
const cniPluginsVersion = '1.9.1';
const coreDnsVersion = '1.14.7';
const pauseVersion = '0.1.0';
const initVersion = '0.1.0';

const strip = ['-s', '-w'];

const kubernetesProgram = (name: string, role: Role, rule: VersionRule): ProgramSpec => ({
  name,
  role,
  version: { args: ['--version'], pattern: /Kubernetes v?(\S+)/ },
  rule,
  builds: kubernetesVersion,
});

/** Source: etcd that kubeadm of Kubernetes 1.36 accepts (MinExternalEtcdVersion); 3.7 is not out. */
const etcdRule: VersionRule = {
  kind: 'range',
  atLeast: '3.5.24',
  below: '3.7.0',
  because: 'Kubernetes 1.36 supports etcd 3.5.24 to 3.6',
};

const containerdRule: VersionRule = {
  kind: 'range',
  atLeast: '2.0.0',
  below: '3.0.0',
  because: 'Kubernetes 1.36 needs containerd 2.x',
};

const cniProgram = (name: string): ProgramSpec => ({
  name,
  role: 'node',
  // Without CNI_COMMAND a plugin says what it is and exits; distributions leave the version out.
  version: { args: [], pattern: new RegExp(`CNI ${name} plugin (?:v(\\S+)|version unknown)`) },
  rule: { kind: 'any' },
  builds: cniPluginsVersion,
  alsoIn: ['/opt/cni/bin', '/usr/lib/cni'],
});

const kubernetes: Artefact = {
  name: 'kubernetes',
  module: 'kubernetes',
  packages: ['.'],
  output: 'kubernetes',
  links: [
    'kube-apiserver',
    'kube-controller-manager',
    'kube-scheduler',
    'kubelet',
    'kube-proxy',
    'kubectl',
    'etcd',
    'etcdutl',
  ],
  ldflags: [
    ...strip,
    `-X k8s.io/component-base/version.gitVersion=v${kubernetesVersion}`,
    '-X k8s.io/component-base/version.gitMajor=1',
    '-X k8s.io/component-base/version.gitMinor=36',
  ],
  coldSeconds: 270,
  programs: [
    kubernetesProgram('kube-apiserver', 'control-plane', {
      kind: 'range',
      atLeast: '1.34.0',
      below: '1.37.0',
      because: 'the shipped units are written for Kubernetes 1.34 to 1.36',
    }),
    // Source of the skews: Kubernetes version skew policy.
    kubernetesProgram('kube-controller-manager', 'control-plane', { kind: 'skew', older: 1, newer: 0 }),
    kubernetesProgram('kube-scheduler', 'control-plane', { kind: 'skew', older: 1, newer: 0 }),
    kubernetesProgram('kubelet', 'node', { kind: 'skew', older: 3, newer: 0 }),
    kubernetesProgram('kube-proxy', 'node', { kind: 'skew', older: 3, newer: 0 }),
    {
      name: 'kubectl',
      role: 'tool',
      version: { args: ['version', '--client'], pattern: /(?:GitVersion:"|Client Version: )v?([\w.+-]+)/ },
      rule: { kind: 'skew', older: 1, newer: 1 },
      builds: kubernetesVersion,
    },
    {
      name: 'etcd',
      role: 'control-plane',
      version: { args: ['--version'], pattern: /etcd Version: (\S+)/ },
      rule: etcdRule,
      builds: etcdVersion,
    },
    {
      name: 'etcdutl',
      role: 'tool',
      version: { args: ['version'], pattern: /etcdutl version: (\S+)/ },
      rule: etcdRule,
      builds: etcdVersion,
    },
  ],
};

const containerd: Artefact = {
  name: 'containerd',
  module: 'containerd',
  packages: ['containerd', 'containerd-shim-runc-v2', 'ctr'].map(
    (name) => `github.com/containerd/containerd/v2/cmd/${name}`,
  ),
  // These snapshotters need C libraries or devices that a small node does not have.
  tags: ['no_btrfs', 'no_zfs', 'no_devmapper'],
  ldflags: [...strip, `-X github.com/containerd/containerd/v2/version.Version=v${containerdVersion}`],
  coldSeconds: 70,
  programs: [
    {
      name: 'containerd',
      role: 'node',
      version: { args: ['--version'], pattern: /containerd \S+ v?(\d\S*)/ },
      rule: containerdRule,
      builds: containerdVersion,
    },
    {
      name: 'containerd-shim-runc-v2',
      role: 'node',
      version: { args: ['-v'], pattern: /Version:\s+v?(\d\S*)/ },
      rule: containerdRule,
      builds: containerdVersion,
    },
    {
      name: 'ctr',
      role: 'tool',
      version: { args: ['--version'], pattern: /ctr \S+ v?(\d\S*)/ },
      rule: containerdRule,
      builds: containerdVersion,
    },
  ],
};

const cni: Artefact = {
  name: 'cni-plugins',
  module: 'containerd',
  packages: ['main/bridge', 'main/loopback', 'ipam/host-local', 'meta/portmap'].map(
    (name) => `github.com/containernetworking/plugins/plugins/${name}`,
  ),
  ldflags: [
    ...strip,
    `-X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=v${cniPluginsVersion}`,
  ],
  coldSeconds: 20,
  programs: ['bridge', 'loopback', 'host-local', 'portmap'].map(cniProgram),
};

const coreDns: Artefact = {
  name: 'coredns',
  module: 'coredns',
  packages: ['.'],
  output: 'coredns',
  ldflags: strip,
  coldSeconds: 90,
  programs: [
    {
      name: 'coredns',
      role: 'node',
      version: { args: ['-version'], pattern: /CoreDNS-(\S+)/ },
      rule: {
        kind: 'range',
        atLeast: '1.9.0',
        because: 'CoreDNS reads EndpointSlices of the present API since 1.9',
      },
      builds: coreDnsVersion,
    },
  ],
};

const pause: Artefact = {
  name: 'pause',
  module: 'pause',
  packages: ['.'],
  output: 'pause',
  ldflags: [...strip, `-X main.version=${pauseVersion}`],
  coldSeconds: 10,
  programs: [
    {
      name: 'pause',
      role: 'node',
      version: { args: ['-v'], pattern: /pause (\S+)/ },
      rule: { kind: 'any' },
      builds: pauseVersion,
    },
  ],
};

/** PID 1 of an image. Needed by no cluster: built of the standard library alone, in a second. */
const init: Artefact = {
  name: 'init',
  module: 'init',
  packages: ['.'],
  output: 'k3s-lite-init',
  ldflags: [...strip, `-X main.version=${initVersion}`],
  coldSeconds: 10,
  programs: [
    {
      name: 'k3s-lite-init',
      role: 'tool',
      version: { args: ['--version'], pattern: /k3s-lite-init (\S+)/ },
      rule: { kind: 'any' },
      builds: initVersion,
    },
  ],
};

export const manifest: Manifest = {
  artefacts: [kubernetes, containerd, cni, coreDns, pause, init],
  distribution: [
    {
      name: 'runc',
      role: 'node',
      version: { args: ['--version'], pattern: /runc version (\S+)/ },
      rule: { kind: 'range', atLeast: '1.1.0', because: 'containerd 2.x needs runc 1.1 or newer' },
      package: 'runc',
    },
    {
      name: 'iptables',
      role: 'node',
      version: { args: ['--version'], pattern: /iptables v(\S+)/ },
      rule: { kind: 'range', atLeast: '1.8.0', because: 'kube-proxy and portmap use the options of iptables 1.8' },
      package: 'iptables',
    },
    {
      name: 'ip',
      role: 'node',
      version: { args: ['-V'], pattern: /iproute2-(\S+?),/ },
      rule: { kind: 'any' },
      package: 'iproute2',
    },
    {
      name: 'conntrack',
      role: 'tool',
      version: { args: ['--version'], pattern: /conntrack v(\S+)/ },
      rule: { kind: 'any' },
      package: 'conntrack',
    },
    {
      name: 'nft',
      role: 'tool',
      version: { args: ['--version'], pattern: /nftables v(\S+)/ },
      rule: { kind: 'range', atLeast: '1.0.1', because: "kube-proxy's nftables mode needs nft 1.0.1 or newer" },
      package: 'nftables',
    },
  ],
};
