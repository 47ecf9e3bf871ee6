/** The TLS layer of https and grpc checks: certificates are read anew when their files have changed. */
import { readFileSync, statSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { createSecureContext, SecureContext, TLSSocket } from 'node:tls';
import { abortError, onAbort } from '../kernel/abort.ts';
import { net } from '../kernel/lazily.ts';
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
    const tls = await import('node:tls');
    if (signal.aborted) throw abortError(signal);
    const known = contextOf(files, tls.createSecureContext);
    const secured = tls.connect({
      socket,
      host,
      secureContext: known.context,
      session: sessionOf(known),
      // An address is no server name (RFC 6066); it is compared with the certificate all the same.
      servername: files.serverName ?? (net().isIP(host) === 0 ? host : ''),
      ALPNProtocols: [protocol],
    });
    secured.once('session', (ticket: Buffer) => {
      if (!secured.isSessionReused()) known.session = { ticket, left: resumptions };
    });
    await handshake(secured, signal);
    return secured;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

interface KnownContext {
  /** What the files were when it was made. */
  readonly stamp: string;
  readonly context: SecureContext;
  session?: { readonly ticket: Buffer; left: number };
}

/** The last context made from these files. */
const contexts = new WeakMap<TlsFiles, KnownContext>();

/** Parsing certificates and keys is most of a check's cost: done again only when a file has changed. */
function contextOf(files: TlsFiles, create: typeof createSecureContext): KnownContext {
  const stamp = [files.ca, files.cert, files.key].map(stampOf).join();
  const known = contexts.get(files);
  if (known?.stamp === stamp) return known;
  const context = create({ ...pem('ca', files.ca), ...pem('cert', files.cert), ...pem('key', files.key) });
  const fresh: KnownContext = { stamp, context };
  contexts.set(files, fresh);
  return fresh;
}

/**
 * A session is resumed so many times, which spares both sides the signatures: most of what is left of
 * a check's cost. Not more often, because what a resumed session says of the server's certificate was
 * true when it began. A server that was started anew does not know it, and shows its certificate.
 */
const resumptions = 60;

function sessionOf({ session }: KnownContext): Buffer | undefined {
  if (session === undefined || session.left === 0) return undefined;
  session.left -= 1;
  return session.ticket;
}

function stampOf(path: string | undefined): string {
  const stat = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? '' : `${String(stat.ino)}:${String(stat.mtimeMs)}:${String(stat.size)}`;
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
