/**
 * The address that three API servers share (`--vip-apiserver`): further servers and the agent join through it,
 * and clients that use it go on when its holder's API server, its holder, or everything is lost. An API server that
 * is killed is kept from coming back, so that the address has to move; its node's Lease is good all the while.
 *
 *   client on a1 ─► 10.99.0.50 ─► s1, s2 or s3, whichever has it
 *
 * The servers have no nodes: their part in virtual IPs does not need one. The client asks 20 times a second on
 * fresh connections, and each request again until it is answered. What it saw is printed.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { statusAnswer } from '../../src/vip/control-model.ts';
import { nodeLease } from '../../src/vip/coordination/cluster-api.ts';
import { serverNames, threeServers, type ThreeServers } from '../cluster/kit/three-servers.ts';

const isRoot = process.getuid?.() === 0;
const patience = { timeout: 60_000, interval: 100 };
const vip = '10.99.0.50';

describe.skipIf(!isRoot)('an address that three API servers share', () => {
  let rig: ThreeServers;
  const machine = (name: string) => rig.machine(name);
  const hasIt = (name: string) => machine(name).run('ip', '-o', 'address').output.includes(` ${vip}/`);
  const holder = async (not = '') => {
    const found = () => serverNames.filter((name) => name !== not && hasIt(name));
    await expect.poll(() => found().length, patience).toBe(1);
    return found()[0] ?? '';
  };
  const client = () => rig.client({ host: vip, port: 6443, withinMs: 1_000, tries: 500, pauseMs: 50 });

  beforeAll(async () => {
    rig = await threeServers({ patience, vipApiserver: vip });
  });
  afterAll(() => (rig as ThreeServers | undefined)?.[Symbol.asyncDispose]());

  test('[H5] servers and an agent have joined through it, and status names it', async () => {
    const name = await holder();
    const told = rig.running
      .get('a1')
      ?.events.of('notice', 'join')
      .map(({ event }) => String(event['text']));
    expect(told?.join()).toContain(`through https://${vip}:9345`);
    const status = statusAnswer.parse(JSON.parse(machine(name).k3sLite('vip', 'status', '--json').output));
    expect(status.addresses).toMatchObject([{ address: vip, owner: name, state: 'granted', services: ['apiserver'] }]);
  });

  const apiServerOf = (name: string) =>
    String(rig.running.get(name)?.events.states('kube-apiserver').at(-1)?.snapshot.pid ?? 0);
  const must = (name: string, ...argv: readonly string[]) => {
    const { code, output } = machine(name).run(...argv);
    expect(code, output).toBe(0);
    return output.trim();
  };
  /** Who holds a node's Lease, and how often it has changed hands: once more if it was lost and got again. */
  const leaseOf = (name: string, asked: string) => {
    const what = '{.spec.holderIdentity} {.spec.leaseTransitions}';
    const args = ['-n', 'kube-system', 'get', 'lease', nodeLease(name), '-o', `jsonpath=${what}`];
    return machine(asked).k3sLite('kubectl', '--request-timeout=5s', ...args).output;
  };
  /** Of the API server that is kept away, and of the one that hangs. */
  let program = '';
  let hung = '';

  interface Fault {
    readonly begin: (name: string) => unknown;
    readonly end: (name: string) => unknown;
    /** The node itself lives: it asks another API server, and keeps its Lease. */
    readonly keepsLease?: true;
  }
  const faults: Readonly<Record<string, Fault>> = {
    'its holder’s k3s-lite is stopped': {
      begin: (name) => rig.running.get(name)?.interrupt(),
      end: (name) => rig.up(name).events.ready(),
    },
    'its holder’s API server is killed, and cannot come back': {
      begin(name) {
        const pid = apiServerOf(name);
        program = must(name, 'readlink', `/proc/${pid}/exe`);
        // On that machine alone: it has its own mounts.
        must(name, 'mount', '--bind', '/bin/false', program);
        must(name, 'kill', '-KILL', pid);
      },
      async end(name) {
        must(name, 'umount', program);
        await expect.poll(() => machine(name).k3sLite('start', 'kube-apiserver').code, patience).toBe(0);
      },
      keepsLease: true,
    },
    'its holder’s API server hangs': {
      begin(name) {
        hung = apiServerOf(name);
        must(name, 'kill', '-STOP', hung);
      },
      end: (name) => must(name, 'kill', '-CONT', hung),
      keepsLease: true,
    },
    'its holder loses its power': {
      begin: (name) => machine(name).powerOff(),
      end: (name) => rig.up(name).events.ready(),
    },
  };

  test.each(Object.keys(faults))('[V10] clients go on when %s', async (fault) => {
    const before = await holder();
    const { begin, end, keepsLease } = faults[fault] ?? {};
    const lease = leaseOf(before, before);
    expect(lease).toContain(`${before}/`);
    using asking = client();
    await rig.askedMore(asking, 20);
    await begin?.(before);
    // 20 a second: for longer than a Lease lasts that nobody renews.
    await rig.askedMore(asking, 120);
    const after = await holder(before);
    if (keepsLease === true) expect(leaseOf(before, after)).toBe(lease);
    await end?.(before);
    await rig.askedMore(asking, 20);
    const { text, failed, longestGapMs } = await asking.end();
    console.log(`${fault} (${before}, then ${after}): ${text}; longest gap of reads ${String(longestGapMs.read)} ms`);
    expect(failed).toEqual([]);
  });

  test('[V10] all servers lose their power: it is back by itself', async () => {
    for (const name of serverNames) machine(name).powerOff();
    expect(serverNames.filter(hasIt).length).toBeLessThanOrEqual(1);
    const beganMs = performance.now();
    const started = serverNames.map((name) => rig.up(name));
    using asking = client();
    await rig.askedMore(asking, 20);
    console.log(`answered again ${(performance.now() - beganMs).toFixed(0)} ms after the servers were switched on`);
    await Promise.all(started.map(({ events }) => events.ready()));
    expect(serverNames).toContain(await holder());
    expect((await asking.end()).failed).toEqual([]);
  });
});
