/**
 * Makes etcd say that its space is used up: until that is taken back it answers reads, and refuses every write
 * with the words that a full one has.
 */
import { grpcUnary } from '../../../src/probe/grpc-unary.ts';
import { layoutOf } from '../../../src/cluster/layout.ts';
import type { Cluster } from './cluster.ts';

/** Source: etcd `rpc.proto`, AlarmRequest: action (1) is ACTIVATE = 1 or DEACTIVATE = 2, alarm (3) is NOSPACE = 1. */
const request = { raised: Uint8Array.of(0x08, 1, 0x18, 1), cleared: Uint8Array.of(0x08, 2, 0x18, 1) };

export async function noSpaceAlarm(cluster: Cluster, state: keyof typeof request): Promise<void> {
  const folder = `${layoutOf({ dataDir: cluster.paths.dataDir, runDir: '' }).serverTls}/etcd`;
  await grpcUnary({
    address: { kind: 'tcp', host: '127.0.0.1', port: cluster.port('etcd-client-port') },
    tls: { ca: `${folder}/ca.crt`, cert: `${folder}/client.crt`, key: `${folder}/client.key` },
    path: '/etcdserverpb.Maintenance/Alarm',
    message: request[state],
    signal: AbortSignal.timeout(10_000),
  });
}
