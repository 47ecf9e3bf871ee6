/**
 * Asks one peer whether it lives, over a connection that is kept from one beat to the next. A beat
 * that fails ends the connection: the next one shows whether the peer or only that was broken.
 */
import type { ClientHttp2Session } from 'node:http2';
import { openConnection, describeAddress, type TcpAddress } from '../../probe/connection.ts';
import { healthPath, requireServing } from '../../probe/grpc.ts';
import { grpcOver } from '../../probe/grpc-unary.ts';
import { secureConnection, type TlsFiles } from '../../probe/tls.ts';

export interface HeartbeatLink extends Disposable {
  /** Resolves with the answer. @throws why there is none; the reason of `signal` */
  beat(signal: AbortSignal): Promise<void>;
}

export function heartbeatLink(address: TcpAddress, files: TlsFiles): HeartbeatLink {
  let session: ClientHttp2Session | undefined;
  const drop = () => {
    session?.destroy();
    session = undefined;
  };
  return {
    async beat(signal) {
      try {
        session ??= await open(address, files, signal);
        requireServing(await grpcOver(session, { path: healthPath, message: new Uint8Array(), signal }));
        if (session.destroyed) drop();
      } catch (error) {
        drop();
        throw error;
      }
    },
    [Symbol.dispose]: drop,
  };
}

async function open(address: TcpAddress, files: TlsFiles, signal: AbortSignal): Promise<ClientHttp2Session> {
  const plain = await openConnection(address, signal);
  const socket = await secureConnection(plain, { host: address.host, files, protocol: 'h2' }, signal);
  const { connect } = await import('node:http2');
  const session = connect(`https://${describeAddress(address)}`, { createConnection: () => socket });
  // Between two beats nobody listens; the next beat finds out.
  session.on('error', () => undefined);
  return session;
}
