/**
 * One sick member of etcd, seen through two API servers on one machine:
 *
 *   prober ─► kube-apiserver       ─► etcd-balancer ─► one of m1, m2, m3
 *   prober ─► kube-apiserver-plain ─► m1, m2 and m3 (all in --etcd-servers)
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { longTest } from '../kit/matrix.ts';
import { apiProber, suffered, type ApiProber, type Suffered } from './kit/api-prober.ts';
import { etcdMembers, type EtcdMemberProcess, type EtcdMembers } from './kit/etcd-members.ts';
import { EventLog } from './kit/event-log.ts';
import { freePorts } from './kit/free-ports.ts';
import { createInterface } from 'node:readline';

const root = path.resolve(import.meta.dirname, '../..');
const cli = path.join(root, 'bin/k3s-lite.js');
const isRoot = process.getuid?.() === 0;
/** 2 s are promised ("the same faults cost ≤ 2 s", docs/balancer.md has what was measured); four times that where others use the machine too. */
const limitMs = 4 * 2_000;
/** Longer than the slowest of our limits, shorter than what the plain way was seen to take (39 s). */
const faultMs = 12_000;
const patience = { timeout: 60_000, interval: 200 };

const table: string[] = ['fault | read gap | write gap | failed, balanced | read gap | write gap | failed, plain'];

describe.skipIf(!isRoot)('one sick member of etcd', () => {
  let etcd: EtcdMembers;
  let up: ChildProcess | undefined;
  let ended: Promise<unknown> | undefined;
  const probers: ApiProber[] = [];
  let balanced: ApiProber;
  let plain: ApiProber;
  const events = new EventLog();
  const k3sLite = (...args: readonly string[]) =>
    execFileSync(process.execPath, [cli, ...args, '--data-dir', etcd.folder], { encoding: 'utf8' });
  const hostOf = ({ clientUrl }: EtcdMemberProcess) => new URL(clientUrl).host;
  const lbServers = () =>
    (JSON.parse(k3sLite('lb', 'list', '--json')) as [{ servers: { address: string; state: string }[] }])[0].servers;
  const active = () => {
    const address = lbServers().find(({ state }) => state === 'active')?.address;
    return etcd.members.find((member) => hostOf(member) === address);
  };
  const isLeader = async (member: EtcdMemberProcess) => {
    const status = await etcd.client().status(member.clientUrl, AbortSignal.timeout(5_000));
    return status.leader === status.memberId;
  };

  beforeAll(async () => {
    etcd = await etcdMembers(3);
    for (const member of etcd.members) member.start(etcd.members);
    await etcd.ready();
    const [port = 0, plainPort = 0, balancerPort = 0] = await freePorts(3);
    const units = path.join(etcd.folder, 'units');
    mkdirSync(units);
    const shipped = (name: string) => readFileSync(path.join(root, 'units', `${name}.yaml`), 'utf8');
    // As a server without etcd reaches it, by TLS.
    const flags = /^ {2}etcd-.*\n/gm;
    const remote = shipped('without-etcd.d/kube-apiserver/etcd-balancer').match(flags)?.join('') ?? '';
    const apiServer = shipped('kube-apiserver').replace(/^ {2}etcd-servers: .*\n/m, remote);
    const members = etcd.members.map(({ clientUrl }) => clientUrl).join();
    const files = {
      certificates: shipped('certificates'),
      'etcd-balancer': shipped('without-etcd/etcd-balancer'),
      'kube-apiserver': apiServer.replace('- hard: etcd', '- hard: etcd-balancer'),
      'kube-apiserver-plain': apiServer
        .replace('  - hard: etcd\n', '')
        .replace('https://127.0.0.1:${etcdClientPort}', members)
        .replaceAll("'${httpsListenPort}'", `'${String(plainPort)}'`)
        .replaceAll('${httpsListenPort}', `'${String(plainPort)}'`)
        .replaceAll('${apiServerUrl}', `https://127.0.0.1:${String(plainPort)}`),
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(units, `${name}.yaml`), text);
    mkdirSync(path.join(etcd.folder, 'server/db'), { recursive: true });
    writeFileSync(
      path.join(etcd.folder, 'server/db/etcd-members.json'),
      // The others are found by asking this one.
      JSON.stringify({ version: 1, clientUrls: [etcd.member(0).clientUrl] }),
    );
    const ports = ['--https-listen-port', String(port), '--etcd-client-port', String(balancerPort)];
    const argv = [cli, 'up', '--json', '--data-dir', etcd.folder, '--units', units, '--node-name', 'm1', ...ports];
    const child = spawn(process.execPath, argv, { cwd: etcd.folder, stdio: ['ignore', 'pipe', 'inherit'] });
    up = child;
    ended = new Promise<void>((resolve) => {
      child.once('close', (code) => {
        events.close(`up ended with code ${String(code)}`);
        resolve();
      });
    });
    createInterface({ input: child.stdout }).on('line', (line) => events.add(line));
    await events.ready();
    balanced = apiProber(path.join(etcd.folder, 'server/tls'), port);
    plain = apiProber(path.join(etcd.folder, 'server/tls'), plainPort);
    probers.push(balanced, plain);
  }, 120_000);

  afterAll(async () => {
    console.log(table.join('\n'));
    try {
      for (const prober of probers) await prober[Symbol.asyncDispose]();
      up?.kill('SIGTERM');
      await ended;
    } finally {
      await etcd[Symbol.asyncDispose]();
    }
  }, 120_000);

  /** A follower that carries the connections: draining the leader moves them. */
  const activeFollower = async (): Promise<EtcdMemberProcess> => {
    for (const member of etcd.members) {
      k3sLite('lb', (await isLeader(member)) ? 'drain' : 'undrain', hostOf(member), '--grace', '0s');
    }
    let found: EtcdMemberProcess | undefined;
    await expect
      .poll(async () => {
        found = active();
        return found !== undefined && !(await isLeader(found));
      }, patience)
      .toBe(true);
    for (const member of etcd.members) k3sLite('lb', 'undrain', hostOf(member));
    if (found === undefined) throw new Error('internal error: polled until it was there');
    return found;
  };

  const settled = async () => {
    for (const prober of [balanced, plain]) {
      for (const kind of ['read', 'write'] as const) {
        const fromMs = Date.now();
        await expect
          .poll(() => prober.all.filter((one) => one.kind === kind && one.startMs > fromMs).slice(-10), patience)
          .toSatisfy(
            (last: readonly { why?: string }[]) => last.length === 10 && last.every(({ why }) => why === undefined),
          );
      }
    }
  };

  const during = async (name: string, begin: () => void, end: () => void) => {
    const fromMs = Date.now();
    begin();
    await new Promise((resolve) => setTimeout(resolve, faultMs));
    end();
    // What comes after it counts too: a member that is back must not be believed too early.
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    const toMs = Date.now();
    const of = (prober: ApiProber) =>
      (['read', 'write'] as const).map((kind) => suffered(prober.all, kind, fromMs, toMs));
    const [ours, theirs] = [of(balanced), of(plain)];
    table.push([name, ...cells(ours), ...cells(theirs)].join(' | '));
    return { ours, theirs };
  };
  const cells = (both: readonly Suffered[]) => [
    ...both.map(({ longestGapMs }) => `${String(longestGapMs)} ms`),
    both.map(({ failures, requests }) => `${String(failures)}/${String(requests)}`).join(' '),
  ];
  const longest = (both: readonly Suffered[]) => Math.max(...both.map(({ longestGapMs }) => longestGapMs));

  test('[H1] the balancer finds the other members by asking the one that it knows', async () => {
    await expect
      .poll(() => lbServers().map(({ address }) => address), patience)
      .toEqual(etcd.members.map(hostOf).sort());
    // And they are well: each can read by the quorum.
    await expect
      .poll(() => lbServers().filter(({ state }) => ['active', 'preferred', 'healthy'].includes(state)), patience)
      .toHaveLength(3);
  });

  test('[L2] [L3] [L9] a stopped member costs an API server behind the balancer less than one without, reads and writes', async () => {
    const follower = await activeFollower();
    await settled();
    const { ours, theirs } = await during(
      'SIGSTOP of a follower',
      () => follower.signal('SIGSTOP'),
      () => follower.signal('SIGCONT'),
    );
    expect(longest(ours), table.join('\n')).toBeLessThanOrEqual(limitMs);
    expect(longest(theirs), table.join('\n')).toBeGreaterThan(longest(ours));
    // Its own check has found it out, and found it well again; the connections have stayed where they went.
    const told = k3sLite('lb', 'events');
    expect(told).toContain(
      `server ${hostOf(follower)} active -> failed: failed check: https /readyz: no answer within`,
    );
    expect(told).toContain(`server ${hostOf(follower)} failed -> recovering: successful check`);
    expect(active()).not.toBe(follower);
  });

  longTest('[L9] so does a member whose link is cut', async () => {
    await settled();
    const follower = await activeFollower();
    await settled();
    const ports = [follower.clientUrl, follower.peerUrl].map((url) => new URL(url).port).join(', ');
    const name = `k3s-lite-test-${String(process.pid)}`;
    const rule = (side: string) => `tcp ${side} { ${ports} } drop`;
    const cut = `table inet ${name} { chain cut { type filter hook output priority 0; ${rule('dport')}; ${rule('sport')}; }\n}\n`;
    const { ours, theirs } = await during(
      'cut link of a follower',
      () => execFileSync('nft', ['-f', '-'], { input: cut }),
      () => execFileSync('nft', ['delete', 'table', 'inet', name]),
    );
    expect(longest(ours), table.join('\n')).toBeLessThanOrEqual(limitMs);
    expect(longest(theirs), table.join('\n')).toBeGreaterThan(longest(ours));
  });

  test('[L9] all members are gone for a while: behind the balancer reads and writes go on as soon as a quorum is back', async () => {
    await settled();
    await Promise.all(etcd.members.map((member) => member.end('SIGKILL')));
    await new Promise((resolve) => setTimeout(resolve, faultMs));
    for (const member of etcd.members) member.restart();
    await etcd.ready();
    const backMs = Date.now();
    const firstGood = async ({ all }: ApiProber, kind: 'read' | 'write') => {
      const found = () => all.find((one) => one.kind === kind && one.why === undefined && one.endMs > backMs);
      await expect.poll(found, patience).toBeDefined();
      return (found()?.endMs ?? Infinity) - backMs;
    };
    const probed = [balanced, plain].flatMap((prober) => [firstGood(prober, 'read'), firstGood(prober, 'write')]);
    const [read = Infinity, write = Infinity, ...theirs] = await Promise.all(probed);
    const after = [read, write, ...theirs].map((ms) => `${String(ms)} ms after it`);
    table.push(['all members killed', ...after.slice(0, 2), '', ...after.slice(2), ''].join(' | '));
    expect(Math.max(read, write), table.join('\n')).toBeLessThanOrEqual(limitMs);
  });
});
