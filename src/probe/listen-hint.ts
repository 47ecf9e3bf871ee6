/** What tcp, unix and http checks have in common: they are woken when somebody begins to listen at their address. */
import type { Address } from './connection.ts';
import type { ListenWatch } from './listen-watch.ts';
import type { Probe } from './probe.ts';
import type { OwnerCheck } from './socket-owner.ts';

export interface ListenHint {
  readonly onHint: NonNullable<Probe['onHint']>;
  /** True while somebody waits for the hint. */
  readonly isWatched: () => boolean;
}

/** @param watch - undefined: there is none, or the address is not of this machine; nothing is ever hinted */
export function listenHint(address: Address, watch: ListenWatch | undefined, owner?: OwnerCheck): ListenHint {
  let watching = 0;
  return {
    isWatched: () => watching > 0,
    onHint(wake) {
      const added = watch?.add(address, () => {
        // It looked a moment ago, and nobody was there.
        owner?.nobodyListens(address);
        wake('listening');
      });
      if (added === undefined) return { [Symbol.dispose]: () => undefined };
      watching += 1;
      return {
        [Symbol.dispose]: () => {
          watching -= 1;
          added[Symbol.dispose]();
        },
      };
    },
  };
}
