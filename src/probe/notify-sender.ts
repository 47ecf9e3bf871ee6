/**
 * The sending side of sd_notify, for our own services that run as units (`k3s-lite internal …`).
 * Without a socket, as when a person runs one by hand, nothing is sent.
 */
import { dgramSocket } from './dgram-socket.ts';

export interface NotifySender extends Disposable {
  /** "READY=1", "STATUS=…". Line breaks inside become spaces; what cannot be sent is lost. */
  send(...lines: readonly string[]): void;
}

export function notifySender(path: string | undefined): NotifySender {
  if (path?.startsWith('/') !== true) return { send: () => undefined, [Symbol.dispose]: () => undefined };
  const socket = dgramSocket();
  socket.on('error', () => undefined);
  let isClosed = false;
  return {
    send(...lines) {
      if (isClosed) return;
      const message = Buffer.from(lines.map((line) => line.replaceAll(/\s+/g, ' ')).join('\n'));
      socket.sendTo(message, 0, message.length, path, () => undefined);
    },
    [Symbol.dispose]() {
      isClosed = true;
      socket.close();
    },
  };
}
