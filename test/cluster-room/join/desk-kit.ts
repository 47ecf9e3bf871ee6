/** An authority, and what a join desk needs, on real certificates and a fake clock. */
import * as maker from '../../../src/cluster/certificate-maker.ts';
import { failureLimit } from '../../../src/cluster/join/failure-limit.ts';
import type { JoinDeskPorts } from '../../../src/cluster/join/join-desk.ts';
import { systemClock } from '../../../src/kernel/clock.ts';

export interface Identity {
  readonly pem: string;
  readonly signer: maker.Signer;
}

export async function newAuthority(commonName: string): Promise<Identity> {
  const key = await maker.makeEcdsaKey();
  const pem = await maker.makeAuthority({ name: 'server', certFile: '', keyFile: '', commonName }, key, Date.now());
  return { pem, signer: await maker.loadSigner(pem, key) };
}

/** A serving certificate for this machine. */
export async function servingPair({ signer }: Identity): Promise<{ certificate: string; key: string }> {
  const key = await maker.makeEcdsaKey();
  const certificate = await maker.makeLeaf(
    { name: 'join', commonName: 'join', usages: ['server'], dnsNames: ['localhost'], ips: ['127.0.0.1'] },
    key,
    signer,
    Date.now(),
  );
  return { certificate, key };
}

export const passwords = { server: 'server-password', node: 'node-password' };
export const settings = {
  clusterCidr: '10.42.0.0/16',
  serviceCidr: '10.43.0.0/16',
  clusterDns: '10.43.0.10',
  clusterDomain: 'cluster.local',
};

export interface DeskKit {
  readonly ports: JoinDeskPorts;
  readonly lines: string[];
  readonly nodes: Map<string, string>;
}

export function deskKit(server: Identity, client: Identity, changes: Partial<JoinDeskPorts> = {}): DeskKit {
  const lines: string[] = [];
  const nodes = new Map<string, string>();
  const clock = changes.clock ?? systemClock;
  return {
    lines,
    nodes,
    ports: {
      clock,
      limit: failureLimit({ clock, burst: 3 }),
      passwords: () => Promise.resolve(passwords),
      authorities: () => Promise.resolve({ server: server.pem, client: client.pem }),
      signers: () => Promise.resolve({ server: server.signer, client: client.signer }),
      authorityFiles: () => Promise.resolve({ 'server-ca.crt': server.pem, 'etcd/ca.key': 'a private key' }),
      servers: () =>
        Promise.resolve({ servers: [{ name: 's1', join: 'https://192.0.2.1:9345', api: '192.0.2.1:6443' }] }),
      settings,
      claimNode: (name, password) => {
        if (!nodes.has(name)) nodes.set(name, password);
        return Promise.resolve(nodes.get(name) === password);
      },
      log: (line) => lines.push(line),
      ...changes,
    },
  };
}

export const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
