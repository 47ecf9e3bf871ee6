/**
 * Listens to what others on our links say. Asks the sockets again and again, often while somebody
 * waits for an answer, else seldom: none of the calls waits, so none holds a thread.
 */
import type { Clock } from '../../kernel/clock.ts';
import { claimIn, type Claim } from './claim.ts';
import type { OpenPacketLink, PacketLink } from './packet-link.ts';

const idleMs = 100;
const eagerMs = 5;

export interface EarsOptions {
  readonly clock: Clock;
  readonly openLink: OpenPacketLink;
  /** Of somebody else, or of ourselves on another link. */
  readonly onClaim: (claim: Claim) => void;
}

export interface Ears extends Disposable {
  /** The interface's sockets, open until all is disposed. @throws an Error when there is no such interface */
  link(interfaceIndex: number): PacketLink;
  /** Hears at once what comes, until it is disposed. */
  listen(onClaim: (claim: Claim) => void): Disposable;
  /** Takes in what has come by now. */
  hear(): void;
}

export function createEars({ clock, openLink, onClaim }: EarsOptions): Ears {
  const links = new Map<number, PacketLink>();
  const listeners = new Set<(claim: Claim) => void>();
  let timer: Disposable | undefined;
  function hear(): void {
    for (const link of links.values()) {
      for (const frame of link.receive()) {
        const claim = claimIn(frame);
        if (claim === undefined) continue;
        onClaim(claim);
        for (const listener of listeners) listener(claim);
      }
    }
    wind();
  }
  function wind(): void {
    timer?.[Symbol.dispose]();
    timer = links.size === 0 ? undefined : clock.timer(listeners.size > 0 ? eagerMs : idleMs, hear);
  }
  return {
    link(index) {
      const link = links.get(index) ?? openLink(index);
      links.set(index, link);
      if (timer === undefined) wind();
      return link;
    },
    listen(listener) {
      listeners.add(listener);
      wind();
      return {
        [Symbol.dispose]() {
          listeners.delete(listener);
          wind();
        },
      };
    },
    hear,
    [Symbol.dispose]() {
      for (const link of links.values()) link[Symbol.dispose]();
      links.clear();
      wind();
    },
  };
}
