/**
 * Every stable error code: meaning, remedy and the exit code it leads to. docs/errors.md is
 * generated from this table; codes are API, messages are not.
 */

/** Process exit codes of the CLI. Source: design contract of `up`; 128+n is the shell's convention for signals. */
export const exitCode = {
  ok: 0,
  bug: 1,
  usage: 2,
  configuration: 3,
  notReady: 4,
  lostAfterReady: 5,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

interface CodeEntry {
  readonly meaning: string;
  readonly remedy: string;
  readonly exitCode: ExitCode;
}

export const errorCodes = {
  ERR_NOT_READY: {
    meaning: 'A unit did not become ready: its process failed, its check never passed, or time ran out.',
    remedy: 'Read the chain to its end: the last line is the root cause. `k3s-lite logs UNIT` shows its output.',
    exitCode: exitCode.notReady,
  },
  ERR_BLOCKED: {
    meaning: 'A unit was not started because one that it needs (a hard edge) cannot start.',
    remedy: 'Mend the unit at the end of the chain; this one then starts by itself.',
    exitCode: exitCode.notReady,
  },
  ERR_STOPPED: {
    meaning: 'A unit was stopped on request while somebody waited for it.',
    remedy: 'Start it again with `k3s-lite up`, or stop waiting for it.',
    exitCode: exitCode.notReady,
  },
  ERR_SPAWN: {
    meaning: 'A program could not be started: it is missing, not executable, or its user or folder does not exist.',
    remedy:
      'Mend what the message names: the first word of `run` (`k3s-lite components list` shows what is found), or `cwd`, `user`, `group`, `envFile` or `secrets` of the unit.',
    exitCode: exitCode.notReady,
  },
  ERR_EXITED: {
    meaning: 'A process exited when it should have kept running, or a task exited with a code other than 0.',
    remedy: 'Its last output lines are part of the error; `k3s-lite logs UNIT` shows the rest.',
    exitCode: exitCode.notReady,
  },
  ERR_STOP_INCOMPLETE: {
    meaning: 'Processes of a unit were still alive after SIGKILL, or an `undo` failed.',
    remedy: 'The error names the processes. One in uninterruptible sleep ends when its device or file system answers.',
    exitCode: exitCode.bug,
  },
  ERR_BUDGET: {
    meaning: 'With `up --wait`, a unit or the whole start took longer than `--budget` allows; everything was stopped.',
    remedy:
      'The line before it has the critical chain; `k3s-lite analyze diff` compares with earlier starts. Mend what became slow, or raise the budget.',
    exitCode: exitCode.notReady,
  },
  ERR_UNKNOWN_UNIT: {
    meaning: 'A unit was named that is not in the graph.',
    remedy: '`k3s-lite status` lists the units of what runs, `k3s-lite plan` those that `up` would start.',
    exitCode: exitCode.configuration,
  },
  ERR_NEEDED: {
    meaning: 'A unit was to be stopped that others, which are wanted up, need (a hard edge).',
    remedy: 'Stop those first, or let `--cascade` do it: `k3s-lite stop --cascade UNIT`.',
    exitCode: exitCode.usage,
  },
  ERR_UNIT_FILE: {
    meaning: 'Unit files have mistakes: a key or value that is not allowed, an unknown variable, a broken YAML.',
    remedy: 'Each mistake is listed with file, line and column; `k3s-lite check DIR` repeats the check offline.',
    exitCode: exitCode.configuration,
  },
  ERR_GRAPH: {
    meaning:
      'The graph of units cannot be started: a cycle, an edge to an unknown unit, or two units that claim one port or path.',
    remedy:
      'The whole path of a cycle is printed with the place of each edge: make one of them `parallel` or remove it.',
    exitCode: exitCode.configuration,
  },
  ERR_CONFIG: {
    meaning: 'A flag, an environment variable or a configuration file has a value that is not allowed.',
    remedy: 'Mend the value that the message names; `k3s-lite up --help` lists every flag.',
    exitCode: exitCode.configuration,
  },
  ERR_USAGE: {
    meaning: 'The command line is not understood.',
    remedy: '`k3s-lite --help`, or `--help` after a command.',
    exitCode: exitCode.usage,
  },
  ERR_LOCKED: {
    meaning: 'Another k3s-lite holds the data directory.',
    remedy: 'Use that one (`k3s-lite status`), stop it (`k3s-lite down`), or choose another --data-dir.',
    exitCode: exitCode.configuration,
  },
  ERR_DATA_VERSION: {
    meaning: 'The data directory was last written by a newer k3s-lite, Kubernetes or etcd.',
    remedy:
      'Use that version or a newer one, or restore a backup from before the upgrade. `--allow-downgrade` takes data of a newer Kubernetes or etcd.',
    exitCode: exitCode.configuration,
  },
  ERR_COMPONENT: {
    meaning: 'A component binary is missing, of an unsupported version, or could not be built.',
    remedy:
      '`k3s-lite components list` shows what was looked for and where; `k3s-lite components build` builds what is missing.',
    exitCode: exitCode.configuration,
  },
  ERR_CONTROL: {
    meaning: 'The running k3s-lite could not be reached, or refused a request.',
    remedy: 'Check that `k3s-lite up` runs and that --data-dir names the same directory.',
    exitCode: exitCode.notReady,
  },
  ERR_TOKEN: {
    meaning: 'A token to join a cluster cannot be read, or does not belong to the cluster that answered.',
    remedy: 'Copy the whole token, from its first to its last character, from a server of the cluster that you mean.',
    exitCode: exitCode.configuration,
  },
  ERR_JOIN_REFUSED: {
    meaning: 'A server of the cluster refused what a joining machine asked for.',
    remedy:
      'The message says what was wrong. A node name that is taken is free again when the Node object is deleted, or choose another with --node-name.',
    exitCode: exitCode.configuration,
  },
  ERR_JOIN: {
    meaning: 'No server of the cluster could be asked, or none gave a usable answer.',
    remedy:
      'The message has one reason for each server. Nothing has to be done once one of them answers: it is tried for ever.',
    exitCode: exitCode.notReady,
  },
  ERR_ETCD: {
    meaning: 'A request to etcd failed: no member answers, they have no leader, or they refused it.',
    remedy:
      'The message has what each member said. Most changes need a majority of the members: start those that are down, and ask again.',
    exitCode: exitCode.notReady,
  },
  ERR_CLUSTER_RESET: {
    meaning: 'The cluster was not reset to one member: others of it live, it was just done, or etcd failed.',
    remedy:
      '`k3s-lite up --cluster-reset --dry-run` says what would be done here, and what every other server then has to do.',
    exitCode: exitCode.configuration,
  },
  ERR_SNAPSHOT: {
    meaning: 'A snapshot of etcd could not be saved, found or restored.',
    remedy:
      'The message has the reason. `k3s-lite etcd-snapshot list` shows what is there; nothing was changed by what failed.',
    exitCode: exitCode.notReady,
  },
  ERR_CERTIFICATE: {
    meaning: 'A certificate or key cannot be read, does not match, or has expired.',
    remedy:
      'The message names the file. Remove a broken leaf certificate and its key: they are made again at the next start.',
    exitCode: exitCode.configuration,
  },
  ERR_VIP_KERNEL: {
    meaning: 'This machine’s kernel does not do what virtual IPs need: `ip` or `nft` is missing, or refuses.',
    remedy:
      'Install iproute2 and nftables (1.0 or newer), and give the process CAP_NET_ADMIN and CAP_NET_RAW. The message has what the program said.',
    exitCode: exitCode.notReady,
  },
  ERR_INTERNAL: {
    meaning: 'A bug in k3s-lite.',
    remedy: 'Please report it with the output of `k3s-lite up --json`.',
    exitCode: exitCode.bug,
  },
} as const satisfies Record<string, CodeEntry>;

export type ErrorCode = keyof typeof errorCodes;
