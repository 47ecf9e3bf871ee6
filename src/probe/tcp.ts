/** tcp and unix: somebody accepts connections at the address, and it is our unit. */
import { describeAddress, openConnection, paceOf, type Address } from './connection.ts';
import type { OwnerCheck } from './socket-owner.ts';
import type { Probe } from './probe.ts';

export function connectProbe(address: Address, owner?: OwnerCheck): Probe {
  const pace = paceOf(address);
  return {
    describe: () => `${address.kind} ${describeAddress(address)}`,
    ...(pace === undefined ? {} : { pace }),
    async check(signal) {
      const socket = await openConnection(address, signal, owner);
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
