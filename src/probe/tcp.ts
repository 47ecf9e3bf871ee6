/** tcp and unix: somebody accepts connections at the address, and it is our unit. */
import { net } from '../kernel/lazily.ts';
import { describeAddress, openConnection, paceOf, type Address } from './connection.ts';
import { listenHint } from './listen-hint.ts';
import type { ListenWatch } from './listen-watch.ts';
import type { OwnerCheck } from './socket-owner.ts';
import type { Probe } from './probe.ts';

export interface ConnectProbeOptions {
  readonly owner?: OwnerCheck;
  readonly listening?: ListenWatch | undefined;
}

export function connectProbe(address: Address, { owner, listening }: ConnectProbeOptions = {}): Probe {
  const pace = paceOf(address);
  // What a name stands for is the resolver's to say.
  const isPlain = address.kind === 'unix' || net().isIP(address.host) !== 0;
  const { onHint, isWatched } = listenHint(address, pace && listening, owner);
  return {
    describe: () => `${address.kind} ${describeAddress(address)}`,
    ...(pace === undefined ? {} : { pace }),
    onHint,
    async check(signal) {
      // The same answer as a socket's of Node.js, which comes at once; what is wrong, the socket says.
      if (isPlain && pace !== undefined && listening?.accepts(address) === true) {
        owner?.verify(address);
        return;
      }
      const socket = await openConnection(address, signal, { owner, isWatched });
      // A reset by the other side after it accepted is no business of this check.
      socket.on('error', () => undefined);
      try {
        owner?.verify(address, socket);
      } finally {
        socket.destroy();
      }
    },
  };
}
