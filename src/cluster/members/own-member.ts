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
  /** For one request to a member; absent: by what is asked for. */
  readonly requestMs?: number;
}

export function ownMember(settings: Settings): OwnMember {
  const { nodeName, nodeIp, etcdPeerPort, etcdClientPort, etcdRequestMs } = settings;
  return {
    ...(etcdRequestMs === undefined ? {} : { requestMs: etcdRequestMs }),
    name: nodeName,
    peerUrl: `https://${nodeIp}:${String(etcdPeerPort)}`,
    clientUrl: `https://${nodeIp}:${String(etcdClientPort)}`,
    localUrl: `https://127.0.0.1:${String(etcdClientPort)}`,
  };
}

/** Of URLs for clients, those that are not of this machine's own member. */
export const othersOf = (
  clientUrls: readonly string[],
  { clientUrl, localUrl }: Pick<OwnMember, 'clientUrl' | 'localUrl'>,
): readonly string[] => clientUrls.filter((url) => url !== clientUrl && url !== localUrl);

/** What every client of ours to a member has. */
export const etcdAccess = (serverTls: string, { requestMs }: Pick<OwnMember, 'requestMs'>) => ({
  tls: etcdTls(serverTls),
  ...(requestMs === undefined ? {} : { requestMs }),
});

export const etcdTls = (serverTls: string): TlsFiles => ({
  ca: `${serverTls}/etcd/ca.crt`,
  cert: `${serverTls}/etcd/client.crt`,
  key: `${serverTls}/etcd/client.key`,
});
