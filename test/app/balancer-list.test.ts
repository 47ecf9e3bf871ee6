/** The list of a balancer in its file, as it is begun with and kept. Real files. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { beginList, keepList } from '../../src/app/balancer-list.ts';
import { balancerStream } from '../../src/balancer/balancer-event.ts';
import { createBalancer } from '../../src/balancer/balancer.ts';
import { systemClock } from '../../src/kernel/clock.ts';

const [a, b, c] = ['10.0.0.1:6443', '10.0.0.2:6443', '10.0.0.3:6443'] as const;
let folder: string;
let store: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'k3s-lite-list-'));
  store = path.join(folder, 'lb', 'servers.json');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A balancer as its process makes it, without sockets and checks. */
async function started(byDefault: string | undefined = a, seeds: readonly string[] = []) {
  const events = balancerStream({ clock: systemClock });
  const balancer = createBalancer({ events, clock: systemClock, random: () => 0.5 });
  const lines: string[] = [];
  const settings = { default: byDefault, servers: [], store };
  const log = (line: string) => void lines.push(line);
  await beginList({ balancer, settings, seeds, log });
  const kept = keepList({ balancer, events, settings, log });
  const listed = () => balancer.state.servers.filter(({ isListed }) => isListed).map(({ address }) => address);
  return {
    balancer,
    lines,
    listed,
    async [Symbol.asyncDispose]() {
      kept[Symbol.dispose]();
      await balancer[Symbol.asyncDispose]();
    },
  };
}

const stored = (): unknown => (existsSync(store) ? JSON.parse(readFileSync(store, 'utf8')) : undefined);
const holds = (byDefault: string, ...addresses: readonly string[]) =>
  expect
    .poll(stored, { interval: 5 })
    .toMatchObject({ default: byDefault, servers: addresses.map((address) => ({ address })) });
async function leave(...addresses: readonly string[]): Promise<void> {
  await using before = await started();
  before.balancer.update(addresses.map((address) => ({ address })));
  await holds(a, ...addresses);
}

describe('the file of a balancer’s list', () => {
  test('[k3s 25] is made where there is none, with its folder, for its owner alone', async () => {
    await using here = await started();
    await holds(a);
    expect(statSync(store).mode & 0o777).toBe(0o600);
    expect(here.lines).toEqual([]);
  });

  test('[k3s 20] [k3s 21] has the default and no more at first, then each list as it changes', async () => {
    await using here = await started();
    await holds(a);
    here.balancer.update([{ address: c }, { address: b }]);
    await holds(a, b, c);
    here.balancer.setDefault(b);
    await holds(b, b, c);
  });

  test('[k3s 22] is begun with by a balancer of the same default, before what it was told of', async () => {
    await leave(b);
    await using here = await started(a, [c]);
    expect(here.listed().sort()).toEqual([b, c]);
    await holds(a, b, c);
  });

  test('[k3s 23] is not begun with by one of another default, which writes its own', async () => {
    await leave(b);
    await using here = await started(c);
    expect(here.listed()).toEqual([]);
    expect(here.lines).toEqual([`${store} is ignored: it is of another default server`]);
    await holds(c);
  });

  test('[k3s 24] is written anew when it is no JSON, and the log says so', async () => {
    await leave(b);
    writeFileSync(store, '{"version": 1,');
    await using here = await started();
    expect(here.listed()).toEqual([]);
    expect(here.lines).toEqual([`${store} is ignored: it is no JSON`]);
    await holds(a);
  });

  test('that can be neither read nor written is told of, and stops nobody', async () => {
    writeFileSync(path.dirname(store), 'a file where the folder would be');
    await using here = await started(a, [b]);
    here.balancer.update([{ address: c }]);
    await expect.poll(() => here.lines).toContainEqual(expect.stringContaining('cannot write servers.json: '));
    expect(here.lines[0]).toMatch(/^\/.*servers\.json is ignored: ENOTDIR/);
    expect(here.listed()).toEqual([c]);
  });
});
