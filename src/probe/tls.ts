/** The TLS layer of https and grpc checks: certificates are read anew for each connection. */
import { readFileSync } from 'node:fs';
import { isIP, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { abortError, onAbort } from '../kernel/abort.ts';
import { connectionFailure } from './connection.ts';
import { ProbeFailure } from './probe.ts';

/** PEM files; without `ca` the authorities that Node.js knows. */
export interface TlsFiles {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly serverName?: string | undefined;
}

/**
 * Makes a TLS connection of `socket`, which belongs to it from then on.
 *
 * @throws {@link ProbeFailure} with the reason ("CERT_HAS_EXPIRED: certificate has expired"); the reason of `signal`
 */
export async function secureConnection(
  socket: Socket,
  options: { readonly host: string; readonly files: TlsFiles; readonly protocol: 'http/1.1' | 'h2' },
  signal: AbortSignal,
): Promise<TLSSocket> {
  const { host, files, protocol } = options;
  try {
    const { connect } = await import('node:tls');
    const secured = connect({
      socket,
      host,
      // An address is no server name (RFC 6066); it is compared with the certificate all the same.
      servername: files.serverName ?? (isIP(host) === 0 ? host : ''),
      ALPNProtocols: [protocol],
      ...pem('ca', files.ca),
      ...pem('cert', files.cert),
      ...pem('key', files.key),
    });
    await handshake(secured, signal);
    return secured;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function pem(name: 'ca' | 'cert' | 'key', path: string | undefined): Record<string, Buffer> {
  if (path === undefined) return {};
  try {
    return { [name]: readFileSync(path) };
  } catch (cause) {
    const { code = 'error' } = cause as NodeJS.ErrnoException;
    throw new ProbeFailure(`cannot read ${name} ${path}: ${code}`, { cause });
  }
}

function handshake(secured: TLSSocket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      abort[Symbol.dispose]();
      // A second error (the reset that follows an alert) must not become an uncaught one.
      secured.on('error', () => undefined);
      secured.destroy();
      reject(error);
    };
    const onError = (cause: Error) => {
      fail(connectionFailure(cause));
    };
    const onClose = () => {
      fail(new ProbeFailure('closed during the TLS handshake'));
    };
    const onSecure = () => {
      abort[Symbol.dispose]();
      secured.off('error', onError);
      secured.off('close', onClose);
      resolve();
    };
    secured.once('error', onError);
    secured.once('close', onClose);
    secured.once('secureConnect', onSecure);
    const abort = onAbort(signal, () => {
      secured.off('secureConnect', onSecure);
      fail(abortError(signal));
    });
  });
}
