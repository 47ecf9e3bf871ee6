/** Heartbeats over real sockets with real certificates. */
import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import { once } from 'node:events';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ensureCertificates } from '../../../src/cluster/certificates.ts';
import { layoutOf } from '../../../src/cluster/layout.ts';
import { heartbeatLink } from '../../../src/cluster/peers/heartbeat-link.ts';
import { startHeartbeatServer, type HeartbeatServer } from '../../../src/cluster/peers/heartbeat-server.ts';
import { grpcProbe } from '../../../src/probe/grpc.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { settingsIn, temporaryFolder } from '../settings-kit.ts';

const signal = () => AbortSignal.timeout(5_000);

async function peer() {
  const settings = settingsIn(temporaryFolder(), { nodeName: 'n1' });
  await ensureCertificates(settings, systemClock);
  const { agentTls, serverTls } = layoutOf(settings);
  const read = (name: string) => readFileSync(path.join(agentTls, name), 'utf8');
  const files = () => ({
    cert: read('serving-kubelet.crt'),
    key: read('serving-kubelet.key'),
    ca: read('client-ca.crt'),
  });
  const server = await startHeartbeatServer('127.0.0.1', 0, files());
  onTestFinished(() => server[Symbol.asyncDispose]());
  const own = (name: string, folder = agentTls) => ({
    ca: path.join(agentTls, 'server-ca.crt'),
    cert: path.join(folder, `${name}.crt`),
    key: path.join(folder, `${name}.key`),
  });
  return { server, files, own, agentTls, serverTls };
}

function linkTo({ port }: Pick<HeartbeatServer, 'port'>, files: ReturnType<Awaited<ReturnType<typeof peer>>['own']>) {
  const link = heartbeatLink({ kind: 'tcp', host: '127.0.0.1', port }, files);
  onTestFinished(() => link[Symbol.dispose]());
  return link;
}

test('a node answers a node, beat after beat', async () => {
  const { server, own } = await peer();
  const link = linkTo(server, own('client-kubelet'));
  for (let beat = 0; beat < 30; beat += 1) await link.beat(signal());
  // Any client of the gRPC health protocol is understood.
  const address = { kind: 'tcp', host: '127.0.0.1', port: server.port } as const;
  await grpcProbe({ address, service: '', cri: false, tls: own('client-kubelet') }).check(signal());
});

test('who is no node is not answered, whatever other certificate of the cluster it has', async () => {
  const { server, own, serverTls } = await peer();
  await expect(linkTo(server, own('client-kube-proxy')).beat(signal())).rejects.toThrow(
    'PERMISSION_DENIED: only nodes of this cluster are answered',
  );
  await expect(linkTo(server, own('client-admin', serverTls)).beat(signal())).rejects.toThrow('PERMISSION_DENIED');
  const other = await peer();
  const strange = { ...other.own('client-kubelet'), ca: own('client-kubelet').ca };
  await expect(linkTo(server, strange).beat(signal())).rejects.toThrow();
});

test('who resumes a session in which it never showed a certificate is no node, and harms nobody', async () => {
  const { server, own } = await peer();
  const address = { host: '127.0.0.1', port: server.port, ALPNProtocols: ['h2'], rejectUnauthorized: false };
  const ticket = await new Promise<Buffer | undefined>((resolve) => {
    const first = connectTls(address).on('error', () => undefined);
    first.once('session', resolve).once('close', () => resolve(undefined));
  });
  // Whether it is let in so far is the TLS library's matter.
  const stranger = connectHttp2(`https://127.0.0.1:${String(server.port)}`, {
    createConnection: () => connectTls({ ...address, ...(ticket === undefined ? {} : { session: ticket }) }),
  }).on('error', () => undefined);
  onTestFinished(() => stranger.destroy());
  const stream = stranger.request({ ':method': 'POST', ':path': '/grpc.health.v1.Health/Check' });
  let status: unknown;
  stream.on('response', (headers) => (status = headers['grpc-status'])).on('error', () => undefined);
  stream.end();
  await new Promise((resolve) => stream.once('close', resolve));
  expect([undefined, '7']).toContain(status);
  await linkTo(server, own('client-kubelet')).beat(signal());
});

test('a server of another cluster is not believed', async () => {
  const { server } = await peer();
  const other = await peer();
  await expect(linkTo(server, other.own('client-kubelet')).beat(signal())).rejects.toThrow('certificate');
});

test('a beat that is given up ends its connection, and the next one makes another', async () => {
  const { server, own } = await peer();
  const link = linkTo(server, own('client-kubelet'));
  await link.beat(signal());
  const given = new AbortController();
  const beat = link.beat(given.signal);
  given.abort(new Error('given up'));
  await expect(beat).rejects.toThrow('given up');
  await link.beat(signal());
});

test('nobody there: the reason is said, and it is answered once somebody is', async () => {
  const { server, own, files } = await peer();
  const { port } = server;
  await server[Symbol.asyncDispose]();
  const link = linkTo({ port }, own('client-kubelet'));
  await expect(link.beat(signal())).rejects.toThrow('ECONNREFUSED');
  const again = await startHeartbeatServer('127.0.0.1', port, files());
  onTestFinished(() => again[Symbol.asyncDispose]());
  await link.beat(signal());
});

test('a renewed certificate is shown to the next connection, and connections that stand go on', async () => {
  const { server, own, files, agentTls } = await peer();
  const link = linkTo(server, own('client-kubelet'));
  await link.beat(signal());
  const shown = async () => {
    const { cert, key, ca } = own('client-kubelet');
    const read = (file: string) => readFileSync(file);
    const socket = connectTls({ host: '127.0.0.1', port: server.port, ca: read(ca), cert: read(cert), key: read(key) });
    await once(socket, 'secureConnect');
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  };
  const before = await shown();
  // Another certificate of a node, by the same authorities.
  const settings = settingsIn(path.dirname(path.dirname(agentTls)), { nodeName: 'n1', nodeIp: '192.0.2.99' });
  await ensureCertificates(settings, systemClock);
  server.renew(files());
  expect(await shown()).not.toBe(before);
  await link.beat(signal());
});
