/**
 * kill -9 of k3s-lite at every recorded event of a real start of the control plane, each time from
 * an empty data directory: the next `up` adopts or cleans, ends ready, and there is never two of anything.
 *
 * ADOPTION_EVENTS=20-39 takes a part of them: a run of all takes about half an hour. Each is told in a line.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCluster } from '../cluster/kit/cluster.ts';
import { install, type Installation } from '../cluster/kit/installation.ts';
import { programsOf } from '../cluster/kit/traces.ts';

const components = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'];
const [, from = '0', to = 'Infinity'] = /^(\d+)-(\d+)$/.exec(process.env['ADOPTION_EVENTS'] ?? '') ?? [];
const part = { from: Number(from), to: Number(to) };

let installation: Installation;
beforeAll(async () => {
  installation = await install();
});
afterAll(() => installation[Symbol.dispose]());

/** @returns the event at which it was killed, and what the next `up` made of it */
async function killAt(at: number) {
  await using cluster = await createCluster({ installation });
  const pidsOf = (name: string) => programsOf(cluster.paths, name);
  const first = cluster.up();
  // Attempts of checks are many and change nothing: the other events count.
  let seen = -1;
  const { event } = await first.events.until(
    (told) => (told.event.type !== 'probe.attempt' && (seen += 1) === at) || told.event.type === 'up.ready',
    `event ${at}`,
  );
  first.signal('SIGKILL');
  await first.ended;
  const what = `killed at event ${at}, ${JSON.stringify(event).slice(0, 120)}`;
  const before = new Map(components.map((name) => [name, pidsOf(name)] as const));
  for (const [name, pids] of before) expect(pids.length, `${name}, ${what}`).toBeLessThan(2);

  const second = cluster.up();
  await second.events.ready();
  for (const name of components) {
    const pids = pidsOf(name);
    expect(pids, `${name}, ${what}`).toHaveLength(1);
    const isAdopted = second.events.of('process.adopted', name).length === 1;
    if (isAdopted) expect(pids, `${name} keeps its pid, ${what}`).toEqual(before.get(name));
  }
  expect(await cluster.kubectl('get', '--raw', '/readyz'), what).toMatchObject({ code: 0, out: 'ok' });
  const { length: adopted } = second.events.of('process.adopted');
  const { length: ended } = second.events.of('leftover.found');
  expect(await second.interrupt('SIGTERM'), what).toMatchObject({ code: 0 });
  expect(await cluster.traces(), what).toEqual([]);
  return { event, adopted, ended };
}

test('killed at every event of a start, k3s-lite goes on where it was', async () => {
  let killed = 0;
  for (let at = part.from; at <= part.to; at += 1) {
    const { event, adopted, ended } = await killAt(at);
    const { type, unit = '' } = event;
    console.log(`event ${at}: ${type} ${String(unit)}: ${adopted} adopted, ${ended} ended, ready`);
    killed += 1;
    if (event.type === 'up.ready') break;
  }
  expect(killed).toBeGreaterThan(part.to === Number.POSITIVE_INFINITY ? 20 : 0);
});
