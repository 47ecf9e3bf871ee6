/** tcp and unix: somebody accepts connections at the address, and it is our unit. */
import { describeAddress, openConnection, paceOf, type Address } from './connection.ts';
import type { OwnerCheck } from './socket-owner.ts';
import type { Probe } from './probe.ts';

/** @param verifyOwner - throws when the listening socket is not the unit's; see `ownerCheck` */
export function connectProbe(address: Address, verifyOwner?: OwnerCheck): Probe {
  const pace = paceOf(address);
  return {
    describe: () => `${address.kind} ${describeAddress(address)}`,
    ...(pace === undefined ? {} : { pace }),
    async check(signal) {
      const socket = await openConnection(address, signal);
      // A reset by the other side after it accepted is no business of this check.
      socket.on('error', () => undefined);
      try {
        verifyOwner?.(address, socket);
      } finally {
        socket.destroy();
      }
    },
  };
}
