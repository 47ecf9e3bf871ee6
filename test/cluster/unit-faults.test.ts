/**
 * Faults of units of one's own, with real processes: hanging, exiting, clinging to life, escaping.
 *
 *   web ─hard─► api ─hard─► faulty        free
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCluster, type Cluster, type Up } from './kit/cluster.ts';
import { install, type Installation } from './kit/installation.ts';
import { processesOf } from './kit/traces.ts';
import { graphWith, script } from './kit/unit-graph.ts';

let installation: Installation;
beforeAll(async () => {
  installation = await install();
});
afterAll(() => installation[Symbol.dispose]());

/** Starts the graph and waits until the fault has reached its end. */
async function upBlocked(cluster: Cluster, faulty: Readonly<Record<string, unknown>>): Promise<Up> {
  const up = cluster.up(['--units', cluster.unitFolder('units', graphWith(faulty))]);
  await up.events.state('faulty', 'failed');
  await up.events.state('web', 'blocked');
  await up.events.state('free', 'ready');
  const chain = up.events.chain('web').map(({ component }) => component);
  expect(chain.slice(0, 3)).toEqual(['web', 'api', 'faulty']);
  expect(
    up.events
      .chain('web')
      .map(({ code }) => code)
      .slice(0, 2),
  ).toEqual(['ERR_BLOCKED', 'ERR_BLOCKED']);
  return up;
}

async function endsClean(cluster: Cluster, up: Up): Promise<void> {
  expect((await up.interrupt()).code).toBe(0);
  expect(await cluster.traces()).toEqual([]);
}

test('[S4] a unit that hangs in start: the check, its attempts and the time are told; it is started again until it is ready', async () => {
  await using cluster = await createCluster({ installation });
  const file = path.join(cluster.folder('answers'), 'ready');
  const up = await upBlocked(cluster, { run: ['sleep', '86400'], ready: { file }, startWithin: '300ms' });
  const error = up.events.error('faulty');
  expect(error).toMatchObject({ code: 'ERR_NOT_READY', phase: 'ready', check: `file ${file}`, component: 'faulty' });
  expect(error['attemptCount']).toBeGreaterThan(2);
  expect(error['elapsedMs']).toBeGreaterThanOrEqual(300);
  expect(error['elapsedMs']).toBeLessThan(1500);

  writeFileSync(file, '');
  await up.events.ready();
  await endsClean(cluster, up);
});

test('one that exits at once: its exit code and last words are told, and it comes up when it can', async () => {
  await using cluster = await createCluster({ installation });
  const file = path.join(cluster.folder('answers'), 'luck');
  const run = script(`test -e ${file} || { echo 'no such luck' >&2; exit 7; }`, 'echo lucky', 'exec sleep 86400');
  const up = await upBlocked(cluster, { run, ready: { log: 'lucky' } });
  expect(up.events.error('faulty')).toMatchObject({
    ...{ code: 'ERR_EXITED', exit: { kind: 'code', code: 7 }, lastLogLines: ['no such luck'] },
    reason: 'exited with code 7: no such luck',
  });
  expect(up.events.of('process.spawned', 'api')).toEqual([]);

  writeFileSync(file, '');
  await up.events.ready();
  await endsClean(cluster, up);
});

test('a program that does not exist: it is named, and started when it is there', async () => {
  await using cluster = await createCluster({ installation });
  const program = path.join(cluster.folder('programs'), 'server');
  const up = await upBlocked(cluster, { run: [program], restart: { limit: { starts: 1 }, backoff: { max: '1h' } } });
  const error = up.events.error('faulty');
  expect(error).toMatchObject({ code: 'ERR_SPAWN', phase: 'spawn', check: 'spawn' });
  expect(error['reason']).toContain(program);

  // Its retry is an hour away: that the file appears is what wakes it.
  writeFileSync(program, '#!/bin/sh\nexec sleep 86400\n', { mode: 0o755 });
  await up.events.ready();
  await endsClean(cluster, up);
});

test('one that ignores SIGTERM is killed at the end of its time, and nothing is left', async () => {
  await using cluster = await createCluster({ installation });
  const run = script("trap '' TERM", 'echo deaf', 'while :; do sleep 86400; done');
  const faulty = { run, ready: { log: 'deaf' }, stop: { within: '300ms' } };
  const up = cluster.up(['--units', cluster.unitFolder('units', graphWith(faulty))]);
  await up.events.ready();
  await endsClean(cluster, up);
  const steps = up.events.of('process.stopping', 'faulty').map(({ event }) => event['signal']);
  expect([steps[0], steps.at(-1)]).toEqual(['SIGTERM', 'SIGKILL']);
  expect(up.events.of('process.exited', 'faulty')[0]?.event['exit']).toEqual({ kind: 'signal', signal: 'SIGKILL' });
});

test('children that left their group and session, and whose parent has gone, end with their unit', async () => {
  await using cluster = await createCluster({ installation });
  const run = script(
    "setsid sh -c 'sleep 86401 & sleep 86402 & exit 0'",
    "setsid sh -c 'exec sleep 86403' &",
    'echo forked',
    'exec sleep 86404',
  );
  const up = cluster.up(['--units', cluster.unitFolder('units', graphWith({ run, ready: { log: 'forked' } }))]);
  await up.events.ready();
  const sleepers = () =>
    processesOf(cluster.paths)
      .map(({ command }) => command)
      .filter((command) => /^sleep 8640[1-4]$/.test(command))
      .sort();
  await expect.poll(sleepers).toEqual(['sleep 86401', 'sleep 86402', 'sleep 86403', 'sleep 86404']);
  await endsClean(cluster, up);
});

test('with a time limit: exit 4, the hanging one is named, what had started is stopped, nothing is left', async () => {
  await using cluster = await createCluster({ installation });
  const run = script("trap '' TERM", 'while :; do sleep 86400; done');
  const faulty = { run, ready: { file: '/nonexistent/file' }, startWithin: '1h', stop: { within: '300ms' } };
  const units = cluster.unitFolder('units', graphWith(faulty));
  const { code, out, err } = await cluster.run('up', '--units', units, '--wait', '--timeout', '1s');
  expect(code, out + err).toBe(4);
  expect(out + err).toContain('faulty');
  expect(out + err).toContain('still starting after 1.0 s');
  expect(out).toContain('free stopped');
  expect(await cluster.traces()).toEqual([]);
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s before everything is ready stops what has started and exits with %i', async (signal, code) => {
  await using cluster = await createCluster({ installation });
  const faulty = { run: ['sleep', '86400'], ready: { file: '/nonexistent/file' } };
  const up = cluster.up(['--units', cluster.unitFolder('units', graphWith(faulty))]);
  await up.events.state('free', 'ready');
  await up.events.until(({ event }) => event.type === 'process.spawned' && event['unit'] === 'faulty', 'its start');
  expect((await up.interrupt(signal)).code).toBe(code);
  expect(await cluster.traces()).toEqual([]);
});

test('a second signal hurries: nobody is waited for any longer', async () => {
  await using cluster = await createCluster({ installation });
  const run = script("trap '' TERM", 'echo deaf', 'while :; do sleep 86400; done');
  const faulty = { run, ready: { log: 'deaf' }, stop: { within: '1h' } };
  const up = cluster.up(['--units', cluster.unitFolder('units', graphWith(faulty))]);
  await up.events.ready();
  up.signal('SIGINT');
  await up.events.until(({ event }) => event.type === 'process.stopping' && event['unit'] === 'faulty', 'its stop');
  expect((await up.interrupt('SIGINT')).code).toBe(0);
  expect(up.events.all.at(-1)?.event).toMatchObject({ type: 'down.finished', leftovers: [] });
  expect(await cluster.traces()).toEqual([]);
});
