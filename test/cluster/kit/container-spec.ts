/**
 * The OCI specification of a privileged container: own pid, mount, uts, ipc, cgroup and network
 * namespaces, all devices allowed, no tmpfs on /run and no /dev/kmsg (the units of k3s-lite make both).
 * Source: OCI Runtime Specification 1.2.
 */
import { readFileSync } from 'node:fs';

export interface SpecOptions {
  readonly argv: readonly string[];
  readonly env: readonly string[];
  /** The mounted image. */
  readonly rootfs: string;
  readonly hostname: string;
  /** Path of a network namespace. */
  readonly network: string;
  readonly cgroup: string;
  /** Folder of this machine to folder of the container. */
  readonly volumes: Readonly<Record<string, string>>;
}

/** By number. Source: linux/capability.h. */
const capabilityNames = [
  ...['CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP'],
  ...['LINUX_IMMUTABLE', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER'],
  ...['SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE'],
  ...['SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP'],
  ...['MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF'],
  'CHECKPOINT_RESTORE',
];

/** What this process could give: a runtime refuses more. */
function boundingSet(): readonly string[] {
  const mask = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const bits = BigInt(`0x${mask}`);
  return capabilityNames.flatMap((name, bit) => (((bits >> BigInt(bit)) & 1n) === 1n ? `CAP_${name}` : []));
}

function openFilesLimit(): number {
  const hard = /^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return Number(hard ?? 1_048_576);
}

export function privilegedSpec({ argv, env, rootfs, hostname, network, cgroup, volumes }: SpecOptions): object {
  const capabilities = boundingSet();
  const nofile = openFilesLimit();
  const mount = (destination: string, type: string, options: readonly string[]) => ({
    destination,
    type,
    source: type,
    options,
  });
  return {
    ociVersion: '1.0.2',
    process: {
      args: argv,
      env,
      cwd: '/',
      user: { uid: 0, gid: 0 },
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: nofile, soft: nofile }],
      noNewPrivileges: false,
    },
    root: { path: rootfs },
    hostname,
    mounts: [
      mount('/proc', 'proc', ['nosuid', 'noexec', 'nodev']),
      mount('/dev', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
      mount('/dev/pts', 'devpts', ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5']),
      mount('/dev/shm', 'tmpfs', ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k']),
      mount('/dev/mqueue', 'mqueue', ['nosuid', 'noexec', 'nodev']),
      mount('/sys', 'sysfs', ['nosuid', 'noexec', 'nodev', 'rw']),
      mount('/sys/fs/cgroup', 'cgroup', ['nosuid', 'noexec', 'nodev', 'rw']),
      ...Object.entries(volumes).map(([source, destination]) => ({
        destination,
        type: 'bind',
        source,
        options: ['rbind', 'rprivate', 'rw'],
      })),
    ],
    linux: {
      cgroupsPath: cgroup,
      namespaces: [
        ...['pid', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })),
        { type: 'network', path: network },
      ],
      resources: { devices: [{ allow: true, access: 'rwm' }] },
      rootfsPropagation: 'rprivate',
    },
  };
}
