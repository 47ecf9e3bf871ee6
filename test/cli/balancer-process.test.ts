/** A balancer as a unit of a real `up`: a process of its own, steered by `k3s-lite lb`. */
import { statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { balancerSocket } from '../../src/app/paths.ts';
import { balancerClient, balancersIn } from '../../src/cli/commands/lb-client.ts';
import { run as lbRun } from '../../src/cli/commands/lb.ts';
import { StartupError } from '../../src/error/startup-error.ts';
import { client, echoServer } from '../balancer/servers-kit.ts';
import { capturedIo } from '../kit/captured-io.ts';
import type { Program } from '../process/bundle.ts';
import { buildProgram, upPlace } from './up-place.ts';

let program: Program;
beforeAll(async () => {
  program = await buildProgram();
});
afterAll(() => program[Symbol.dispose]());

const unit = `about: Sends connections to a server that is well
run: [k3s-lite, internal, balancer]
flags: {data-dir: "\${dataDir}", config: "\${dataDir}/../lb.yaml"}
ready: {notify: true}
restart: {backoff: {first: 10ms}}
`;

async function running(servers: readonly string[]) {
  const here = upPlace(program, { balancer: unit });
  const config = ['name: test', 'listen: 127.0.0.1:0', `servers: [${servers.join(', ')}]`, 'checkEvery: 50ms'];
  const store = path.join(here.folder, 'servers.json');
  writeFileSync(path.join(here.folder, 'lb.yaml'), `${[...config, `store: ${store}`].join('\n')}\n`);
  here.run(['up']);
  await expect.poll(here.isReady, { timeout: 15_000 }).toBe(true);
  const { paths } = here;
  const [found] = balancersIn(paths);
  if (found === undefined) throw new Error('no balancer runs');
  const lb = (words: readonly string[], options: Record<string, unknown> = {}) =>
    lbCommand(here.dataDir, words, options);
  const { servers: list } = balancerClient(found, new AbortController().signal);
  return { here, paths, lb, list, store, [Symbol.asyncDispose]: () => here[Symbol.asyncDispose]() };
}

/** The command itself, in this process: starting Node.js for each word takes longer than all of this. */
async function lbCommand(dataDir: string, args: readonly string[], options: Record<string, unknown>) {
  const { io, all } = capturedIo({ columns: 200 });
  const { signal } = new AbortController();
  const input = { args, options: { dataDir, ...options }, io, env: process.env, cwd: dataDir, signal };
  const code = await lbRun(input).catch((error: unknown) => {
    if (!(error instanceof StartupError)) throw error;
    io.err(error.message);
    return error.exitCode;
  });
  return { code, out: all() };
}

test('[L4] [L6] [L8] list, explain, pin, drain, simulate, events and metrics of a balancer that runs as a unit', async () => {
  await using a = await echoServer('a');
  await using b = await echoServer('b');
  await using world = await running([a.address, b.address]);
  const { here, lb, list, paths, store } = world;
  const stateOf = async (address: string) => (await list()).servers.find((each) => each.address === address)?.state;
  await expect.poll(() => stateOf(b.address), { timeout: 10_000 }).toBe('preferred');
  const { listen } = await list();

  const follower = here.run(['lb', 'events', '-f', '--since', '1'], 'pipe');
  await expect.poll(follower.out, { timeout: 10_000 }).toContain('list: ');

  const pinned = await lb(['pin', b.address]);
  expect(pinned.out).toContain(`${b.address}  preferred, pinned`);
  using first = client(listen);
  expect(await first.ask('1')).toBe('b:1');
  expect(await stateOf(b.address)).toBe('active');

  const explained = await lb(['explain']);
  expect(explained.out).toContain(
    `test, sticky: the next connection is tried in this order\n  1. ${b.address}: pinned by an operator\n`,
  );

  const simulated = await lb(['simulate', 'unpin', `check-failed=${b.address}`]);
  expect(simulated.out).toContain(`server ${b.address} active -> failed: failed check: supposed`);
  expect(simulated.out).toContain(`the next connection goes to ${a.address}`);
  expect(await stateOf(b.address), 'nothing has happened').toBe('active');

  expect((await lb(['unpin'])).code).toBe(0);
  const drained = await lb(['drain', b.address], { grace: '60s' });
  expect(drained.out).toContain('active, draining');
  // Idle, so that it need not wait for its grace.
  expect(await first.ended).not.toBe('');
  using second = client(listen);
  expect(await second.ask('2')).toBe('a:2');

  expect((await lb(['events'])).out).toContain(`drain ${b.address}`);
  await expect.poll(follower.out).toContain(`drain ${b.address}`);
  follower.child.kill('SIGINT');
  expect((await follower.ended).code).toBe(130);
  expect((await lb(['metrics'])).out).toContain(
    `k3s_lite_loadbalancer_server_health{name="test",server="${a.address}"} 7`,
  );

  const unknown = await lb(['drain', `${b.address}0`]);
  expect([unknown.code, unknown.out]).toEqual([2, expect.stringContaining(`did you mean ${b.address}?`)]);
  // Of one that was killed its socket is left.
  writeFileSync(balancerSocket(paths, 'dead'), '');
  const both = await lb(['list']);
  expect(both.code).toBe(0);
  expect(both.out).toMatch(/^k3s-lite: the balancer dead does not answer on .*\ntest on 127\.0\.0\.1:/);
  expect((await lb(['list'], { name: 'other' })).out).toContain('no balancer other runs');
  expect((await lb(['lst'])).out).toContain('did you mean list');

  const { ended, out } = here.run(['lb', 'list', '--json'], 'pipe');
  expect((await ended).code).toBe(0);
  expect(JSON.parse(out())).toEqual([expect.objectContaining({ name: 'test', listen, policy: 'sticky' })]);

  expect(statSync(balancerSocket(paths, 'test')).mode & 0o777).toBe(0o600);
  expect(statSync(store).mode & 0o777).toBe(0o600);
}, 60_000);

test('a balancer that is killed is back at once, by its supervisor, with the list that it had', async () => {
  await using a = await echoServer('a');
  await using world = await running([]);
  const { here, list, store } = world;
  const { unit: before } = await here.client.unit('balancer');
  const savedAtMs = Date.now();
  const servers = [{ address: a.address, weight: 1 }];
  writeFileSync(store, JSON.stringify({ version: 1, default: null, savedAtMs, servers }));
  process.kill(before.pid ?? 0, 'SIGKILL');
  const isBack = async () => {
    const { unit: now } = await here.client.unit('balancer');
    return now.state === 'ready' && now.pid !== before.pid;
  };
  await expect.poll(isBack, { timeout: 10_000 }).toBe(true);
  const { listen, servers: known } = await list();
  expect(known.map(({ address }) => address)).toEqual([a.address]);
  using after = client(listen);
  expect(await after.ask('1')).toBe('a:1');
}, 60_000);

test('a mistake in its configuration is what the supervisor says of it', async () => {
  await using here = upPlace(program, { balancer: unit });
  writeFileSync(path.join(here.folder, 'lb.yaml'), 'name: test\nlisten: 127.0.0.1:0\npolcy: sticky\n');
  const { ended, out } = here.run(['up', '--wait', '--timeout', '4s'], 'pipe');
  const { code, err } = await ended;
  expect(code).toBe(4);
  expect(`${out()}${err}`).toContain('lb.yaml:3:1: unknown key "polcy", did you mean policy?');
});
