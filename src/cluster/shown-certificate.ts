/**
 * Whose certificate the other side of a connection has shown, if it was found good.
 *
 * "Authorized" alone does not say that there is one: to node a resumed session of TLS 1.3 is authorized
 * also when nobody ever showed a certificate in it (VerifyPeerCertificate in node's crypto_common.cc).
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

export interface ShownSubject {
  /** A certificate may have several of each, or none, whatever the types say. */
  readonly CN?: unknown;
  readonly O?: unknown;
}

/** Undefined when none was shown, or none that an authority of ours has signed. */
export function shownSubject(socket: Socket | undefined): ShownSubject | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  // Without a certificate an empty object, on a socket that has gone null.
  const shown = socket.getPeerCertificate() as { readonly subject?: ShownSubject } | null;
  return shown?.subject;
}
