/**
 * Connections that went at once where they were to go, told of together: an event for each of
 * thousands in a second would cost as much as the connection, and drown what is of interest.
 */
import type { Clock } from '../kernel/clock.ts';
import type { BalancerEventOf } from './balancer-event.ts';
import type { Candidate } from './candidates.ts';

export interface RoutedConnections {
  add(chosen: Candidate, tookMs: number): void;
  /** Tells what has not been told yet. */
  tell(): void;
}

/** A person who follows what happens sees it at once, as far as a person can tell. */
export const tellEveryMs = 250;

export function routedConnections(
  clock: Clock,
  emit: (event: BalancerEventOf<'lb.routed'>) => void,
): RoutedConnections {
  const untold = new Map<string, { readonly why: string; readonly tookMs: number[] }>();
  let timer: Disposable | undefined;

  const tell = () => {
    timer?.[Symbol.dispose]();
    timer = undefined;
    const told = [...untold];
    untold.clear();
    for (const [server, { why, tookMs }] of told) emit({ type: 'lb.routed', server, why, tookMs });
  };

  return {
    add({ server, why }, tookMs) {
      const group = untold.get(server.address);
      if (group === undefined) untold.set(server.address, { why: why(), tookMs: [tookMs] });
      else group.tookMs.push(tookMs);
      timer ??= clock.timer(tellEveryMs, tell);
    },
    tell,
  };
}
