/**
 * The shell entrypoint that k3s-lite is compared with: the same programs with the same flags and
 * files, each after the one before it has answered, in K3s's order. Written from the command lines
 * of a node that k3s-lite brought up, so that nothing but the starting differs.
 */

import path from 'node:path';

/** Source: K3s starts its runtime and datastore first and the agent last; CoreDNS is left out on both sides. */
const order = [
  ['containerd', ({ socket, namespace }) => `ctr --address ${socket} ${namespace} version`],
  ['etcd', () => 'curl -fs http://127.0.0.1:2381/readyz'],
  [
    'kube-apiserver',
    ({ tls }) =>
      `curl -fs --cacert ${tls}/server-ca.crt --cert ${tls}/client-admin.crt --key ${tls}/client-admin.key https://127.0.0.1:6443/readyz`,
  ],
  ['kube-controller-manager', () => 'curl -fsk https://127.0.0.1:10257/healthz'],
  ['kube-scheduler', () => 'curl -fsk https://127.0.0.1:10259/healthz'],
  ['kubelet', () => 'curl -fs http://127.0.0.1:10248/healthz'],
  ['kube-proxy', () => 'curl -fs http://127.0.0.1:10256/healthz'],
];

/** Flags of ours that a usual entrypoint does not have: they are part of what is compared. */
const tuned = {
  etcd: ['heartbeat-interval', 'election-timeout'],
  'kube-apiserver': ['etcd-servers'],
  'kube-controller-manager': ['kube-api-qps', 'kube-api-burst'],
};

/** kube-apiserver reaches etcd by TLS in a usual entrypoint, and by our socket in ours. */
const usualEtcd = (tls) => [
  '--etcd-servers=https://127.0.0.1:2379',
  `--etcd-cafile=${tls}/etcd/ca.crt`,
  `--etcd-certfile=${tls}/etcd/client.crt`,
  `--etcd-keyfile=${tls}/etcd/client.key`,
];

/**
 * @param {object} options
 * @param {{Argv: string[], Env: string[]}[]} options.processes of the node that was brought up
 * @param {string} options.sleep between two polls, as sleep(1) takes it
 * @param {boolean} options.isTuned with our flags instead of the usual ones
 */
export function shellEntrypoint({ processes, dataDir, socket, pauseArchive, sleep, isTuned }) {
  const context = { socket, namespace: '--namespace k8s.io', tls: `${dataDir}/server/tls` };
  const lines = [
    '#!/bin/sh',
    'echo 1 > /proc/sys/net/ipv4/ip_forward',
    `mkdir -m 700 -p ${dataDir}/server/db/etcd ${dataDir}/logs ${path.dirname(path.dirname(socket))}`,
  ];
  for (const [name, check] of order) {
    const found = processes.find(({ Argv }) => Argv[0].split('/').at(-1) === name);
    if (found === undefined) throw new Error(`no ${name} among the processes of the node`);
    const usual = name === 'kube-apiserver' ? usualEtcd(context.tls) : [];
    const argv = isTuned ? found.Argv : [...found.Argv.filter((word) => !isTunedFlag(name, word)), ...usual];
    lines.push(
      `${argv.map(quote).join(' ')} > ${dataDir}/logs/${name}.log 2>&1 &`,
      `until ${check(context)} > /dev/null 2>&1; do sleep ${sleep}; done`,
    );
    if (name === 'containerd')
      lines.push(`ctr --address ${socket} --namespace k8s.io images import ${pauseArchive} > /dev/null`);
  }
  lines.push('wait', '');
  return lines.join('\n');
}

function isTunedFlag(program, word) {
  return (tuned[program] ?? []).some((flag) => word.startsWith(`--${flag}=`));
}

const quote = (word) => (/^[\w./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
