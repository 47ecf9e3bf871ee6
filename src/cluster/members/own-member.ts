/** This machine as a member of the cluster's etcd, and the files by which it asks the others. */
import type { TlsFiles } from '../../probe/tls.ts';
import type { Settings } from '../settings.ts';

export interface OwnMember {
  readonly name: string;
  readonly peerUrl: string;
  /** For other machines. */
  readonly clientUrl: string;
  /** For this one. */
  readonly localUrl: string;
}

export function ownMember({ nodeName, nodeIp, etcdPeerPort, etcdClientPort }: Settings): OwnMember {
  return {
    name: nodeName,
    peerUrl: `https://${nodeIp}:${String(etcdPeerPort)}`,
    clientUrl: `https://${nodeIp}:${String(etcdClientPort)}`,
    localUrl: `https://127.0.0.1:${String(etcdClientPort)}`,
  };
}

export const etcdTls = (serverTls: string): TlsFiles => ({
  ca: `${serverTls}/etcd/ca.crt`,
  cert: `${serverTls}/etcd/client.crt`,
  key: `${serverTls}/etcd/client.key`,
});
