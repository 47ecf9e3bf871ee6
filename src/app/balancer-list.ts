/** The list that a balancer begins with, and the file that keeps it over a restart. */
import path from 'node:path';
import type { BalancerEvent } from '../balancer/balancer-event.ts';
import type { Balancer } from '../balancer/balancer.ts';
import { readStore, storeText } from '../balancer/server-store.ts';
import type { BalancerSettings } from '../balancer/settings.ts';
import { fileKeeper } from '../cluster/file-keeper.ts';
import { readIfThere } from '../kernel/stored-file.ts';
import type { EventStream } from '../event/stream.ts';
import { systemClock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';

interface ListOptions {
  readonly balancer: Balancer;
  readonly settings: Pick<BalancerSettings, 'default' | 'servers' | 'store'>;
  readonly log: (line: string) => void;
}

/** The configured list, or where there is none the seeds with what was known when it last ran. */
export async function beginList({
  balancer,
  settings,
  seeds,
  log,
}: ListOptions & { readonly seeds: readonly string[] }): Promise<void> {
  balancer.setDefault(settings.default);
  const { store, servers } = settings;
  const begun = [...servers, ...seeds.map((address) => ({ address }))];
  if (begun.length > 0) balancer.update(begun);
  if (store === undefined) return;
  const text = await readIfThere(store).catch((error: unknown) => {
    log(`${store} is ignored: ${messageOf(error)}`);
    return undefined;
  });
  const { servers: stored, ignored } = readStore(text, settings.default, systemClock.wallMs());
  if (ignored !== undefined) log(`${store} is ignored: ${ignored}`);
  if (servers.length === 0 && stored.length > 0) balancer.update([...stored, ...begun]);
}

/** Writes the list whenever it has changed, one write at a time. One that cannot be kept stops nobody. */
export function keepList({
  balancer,
  events,
  settings: { store },
  log,
}: ListOptions & { readonly events: EventStream<BalancerEvent> }): Disposable {
  if (store === undefined) return { [Symbol.dispose]: () => undefined };
  const { changed } = fileKeeper({
    file: store,
    text: () => storeText(balancer.state, systemClock.wallMs()),
    onError: (error) => log(`cannot write ${path.basename(store)}: ${String(error)}`),
  });
  changed();
  return events.subscribe({
    onEvent({ event }) {
      if (event.type === 'lb.list' || event.type === 'lb.default') changed();
    },
    onDropped: changed,
  });
}
