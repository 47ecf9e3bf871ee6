/**
 * A server and two agents, each on a machine of its own.
 *
 *   a1 asks while no server is up ─► s1 begins the cluster ─► a1 joins by itself
 *   a2 is given three servers: one refuses, one swallows everything, the third is the address that API servers
 *   share, which s1 has ─► it joins at once, a pod runs on it
 *   a pod on s1 asks the one on a2, directly and as a service
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { putBusyboxImage } from './kit/busybox-image.ts';
import { blackHoleIp, clusterRig, refusingIp, type ClusterRig } from './rig/cluster-rig.ts';
import type { Machine, MachineUp } from './rig/machine.ts';

const isRoot = process.getuid?.() === 0;
const image = 'test.local/web:1';
/** 2 s are promised ("joined within 2 s of the healthy one's answer"); five times that on a machine that others use too. */
const joinedWithinMs = 5 * 2_000;
/** Until the next server is asked while the last is silent. Source: src/cluster/join/find-cluster.ts. */
const staggerMs = 250;
/** `--vip-apiserver` of s1. */
const vip = '10.99.0.50';
const mutePort = 9444;
const acceptAndBeSilent = `require('net').createServer(() => {}).listen(${String(mutePort)}, () => console.log('listening'))`;
const patience = { timeout: 60_000, interval: 200 };

interface KnownFile {
  readonly servers: readonly { readonly origin: string; readonly latencyMs?: number }[];
}

interface ServerLine {
  readonly address: string;
  readonly state: string;
  readonly connections: number;
  readonly marks: readonly string[];
}

const pidOf = ({ events }: MachineUp, unit: string): number => events.states(unit).at(-1)?.snapshot.pid ?? 0;

describe.skipIf(!isRoot)('agents and a server', () => {
  let rig: ClusterRig;
  let server: Machine;
  let early: Machine;
  let late: Machine;
  let serverUp: MachineUp | undefined;
  const agents: MachineUp[] = [];

  const startAgent = (machine: Machine, third: string, token: string, ...args: readonly string[]): MachineUp => {
    const urls = [`https://${refusingIp}:9345,https://${blackHoleIp}:9345`, `https://${third}:9345`];
    const up = machine.up('agent', [...urls.flatMap((url) => ['--server', url]), '--token-file', token, ...args]);
    agents.push(up);
    return up;
  };
  const lateUp = () => {
    const up = agents[1];
    if (up === undefined) throw new Error('the agent is not there');
    return up;
  };
  const kubectl = (...args: string[]) => server.k3sLite('kubectl', ...args);
  const tokenFile = () => path.join(server.dataDir, 'given-token');

  beforeAll(async () => {
    rig = await clusterRig(['s1', 'a1', 'a2']);
    [server, early, late] = [rig.machine('s1'), rig.machine('a1'), rig.machine('a2')];
    writeFileSync(tokenFile(), 'a-token-of-my-choice\n', { mode: 0o600 });
  });
  afterAll(async () => {
    // Agents first: an API server waits for its clients. Whatever is left is the rig's to take away.
    try {
      await Promise.all(agents.map((up) => up.interrupt()));
      await serverUp?.interrupt();
    } finally {
      await rig[Symbol.asyncDispose]();
    }
  });

  test('[H4] [H6] [H7] an agent goes on asking while no server can be reached, as often as it is told, and says of each why', async () => {
    const [program, ...args] = [...server.enter, process.execPath, '-e', acceptAndBeSilent];
    const silent = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void silent.kill());
    await once(silent.stdout, 'data');
    const mute = ['--server', `https://${server.ip}:${String(mutePort)}`];
    const { events } = startAgent(early, server.ip, tokenFile(), '--node-connection-retry', '600ms', ...mute);
    const first = await events.state('join', 'backoff');
    const after = events.all.findIndex(({ seq }) => seq === first.seq) + 1;
    const second = await events.state('join', 'backoff', after);
    expect(second.snapshot.generation).toBeGreaterThan(first.snapshot.generation);
    // 1 s ± 20 % without that flag.
    const pauseMs = (second.snapshot.nextRetryAt?.monotonicMs ?? Infinity) - second.monotonicMs;
    expect(pauseMs).toBeLessThan(600 * 1.2 + 1);
    const error = events.chain('join').find(({ code }) => code === 'ERR_JOIN');
    const mutely = `${server.ip}:${String(mutePort)}: no TLS handshake within 4.0 s`;
    for (const why of [`${refusingIp}:9345: ECONNREFUSED`, `${blackHoleIp}:9345: no connection within 4.0 s`, mutely]) {
      expect(error?.message, JSON.stringify(events.chain('join'))).toContain(why);
    }
    expect(error?.message).toContain(`${server.ip}:9345: ECONNREFUSED`);
  });

  test('[H5] a cluster begins, and the agent that waited is part of it by itself', async () => {
    putBusyboxImage(server.dataDir, image);
    serverUp = server.up('up', ['--cluster-init', '--vip-apiserver', vip, '--token-file', tokenFile()]);
    await serverUp.events.ready();
    await agents[0]?.events.ready();
    expect(kubectl('get', 'nodes', '--no-headers').output).toMatch(/^a1 +Ready .*\ns1 +Ready /);
  });

  test('[H5] with two of three servers dead, an agent has joined within 2 s of the third one’s answer', async () => {
    putBusyboxImage(late.dataDir, image);

    const token = path.join(late.dataDir, 'node-token');
    writeFileSync(token, server.k3sLite('token', 'show', '--node').output, { mode: 0o600 });
    const { events } = startAgent(late, vip, token);
    const asked = await events.state('join', 'starting');
    const told = await events.state('join', 'done');
    const joined = await events.state('node-object', 'done');
    expect(events.states('join').map(({ snapshot }) => snapshot.state)).not.toContain('backoff');
    // The one that refuses has failed, the one that swallows everything was still awaited.
    const notice = events.of('notice', 'join').map(({ event }) => String(event['text']));
    expect(notice.join()).toContain(`through https://${vip}:9345 (https://${refusingIp}:9345: ECONNREFUSED)`);
    expect(told.monotonicMs - asked.monotonicMs).toBeLessThan(joinedWithinMs);
    // Longer than the stagger: the second one was given its time before the third was asked.
    expect(told.monotonicMs - asked.monotonicMs).toBeGreaterThan(staggerMs);
    expect(joined.monotonicMs - told.monotonicMs).toBeLessThan(joinedWithinMs);
    await events.ready();
    expect(kubectl('get', 'node', 'a2', '--no-headers').output).toMatch(/^a2 +Ready /);
  });

  test('[L9] everything of an agent goes through its balancer, which is steered and seen while it runs', async () => {
    const kubeconfig = JSON.parse(readFileSync(path.join(late.dataDir, 'agent/cred/kubelet.kubeconfig'), 'utf8')) as {
      clusters: { cluster: { server: string } }[];
    };
    expect(kubeconfig.clusters[0]?.cluster.server).toBe('https://127.0.0.1:6444');
    let direct: readonly string[] = [];
    // Connections come and go between the two looks.
    const counts = () => {
      const [{ servers }] = JSON.parse(late.k3sLite('lb', 'list', '--json').output) as [{ servers: ServerLine[] }];
      expect(servers).toMatchObject([{ address: `${server.ip}:6443`, state: 'active' }]);
      direct = late.run('ss', '-Htnp', 'dst', `${server.ip}:6443`).output.trim().split('\n');
      const listed = servers[0]?.connections ?? 0;
      // kubelet, kube-proxy and the balancer's own watch at least, and no way around it.
      return { isEnough: listed >= 3, beside: direct.length - listed };
    };
    await expect.poll(counts, patience).toEqual({ isEnough: true, beside: 0 });
    const own = pidOf(lateUp(), 'api-balancer');
    for (const line of direct) expect(line).toContain(`pid=${String(own)},`);
    expect(late.k3sLite('lb', 'explain').output).toContain(`${server.ip}:6443`);
  });

  test('[L9] a balancer that is killed is back by itself, with the servers it knew, and nobody else is restarted', async () => {
    const { events } = lateUp();
    await events.ready();
    const before = pidOf(lateUp(), 'kubelet');
    const from = events.count;
    late.run('kill', '-KILL', String(pidOf(lateUp(), 'api-balancer')));
    await events.state('api-balancer', 'ready', from);
    await expect.poll(() => late.k3sLite('lb', 'list').output, patience).toMatch(/active/);
    expect(pidOf(lateUp(), 'kubelet')).toBe(before);
    // Of a busy machine their checks may be told of.
    const spawned = events.all.slice(from).filter(({ event }) => event['type'] === 'process.spawned');
    const restarted = spawned.map(({ event }) => event['unit']);
    expect(restarted).not.toContain('kubelet');
    expect(restarted).not.toContain('kube-proxy');
    expect(kubectl('get', 'node', 'a2', '--no-headers').output).toMatch(/^a2 +Ready /);
  });

  test('a pod runs on the agent; exec reaches it, and it reaches the API as a service', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web' },
      spec: {
        nodeName: 'a2',
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'web', image, imagePullPolicy: 'Never', command: ['/bin/sleep', '3600'] }],
      },
    };
    const file = path.join(server.dataDir, 'pod.json');
    writeFileSync(file, JSON.stringify(pod));
    await expect.poll(() => kubectl('apply', '-f', file).code, patience).toBe(0);
    await expect
      .poll(() => kubectl('get', 'pod', 'web', '-o', 'jsonpath={.status.phase} {.status.podIP}').output, patience)
      .toMatch(/^Running 10\.42\.[1-9]\d*\./);
    const query = kubectl('exec', 'web', '--', 'nslookup', 'kubernetes.default.svc.cluster.local', '10.43.0.10');
    expect(query.output).toContain('10.43.0.1');
  });

  test('[H1] [H2] [H3] an agent whose only `--server` is dead finds the cluster again, at once, through those it knows', async () => {
    await agents[0]?.interrupt();
    const knownBefore = readFileSync(path.join(early.dataDir, 'agent/known-servers.json'), 'utf8');
    const heardBefore = early.run('sh', '-c', 'cat /run/k3s-lite/*/peer-health.json').output;
    const up = early.up('agent', ['--server', `https://${refusingIp}:9345`, '--token-file', tokenFile()]);
    agents[0] = up;
    await up.events.ready();
    const known = JSON.parse(readFileSync(path.join(early.dataDir, 'agent/known-servers.json'), 'utf8')) as KnownFile;
    const origin = `https://${server.ip}:9345`;
    expect(known.servers.find((one) => one.origin === origin)).toMatchObject({
      latencyMs: expect.any(Number) as number,
    });
    // The one that has answered before is asked first, and the dead one not even tried; unless this machine was so
    // busy that heartbeats were late: then that one has refused before.
    const said = readFileSync(path.join(early.dataDir, 'logs/join.log'), 'utf8');
    expect(said, `known before: ${knownBefore}\nheard before: ${heardBefore}`).toMatch(
      new RegExp(`found through ${origin}( \\(https://${refusingIp}:9345: ECONNREFUSED\\))?;`),
    );
    expect(kubectl('get', 'node', 'a1', '--no-headers').output).toMatch(/^a1 +Ready /);
  });

  test('pods on two machines reach each other, directly and as a service, and see who asks', async () => {
    const meta = (name: string) => ({ apiVersion: 'v1', metadata: { name, labels: { app: name } } });
    const pod = (name: string, nodeName: string, command: readonly string[]) => ({
      ...meta(name),
      kind: 'Pod',
      spec: {
        nodeName,
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'main', image, imagePullPolicy: 'Never', command }],
      },
    });
    const serve = 'mkdir /tmp/www && echo from a2 >/tmp/www/index.html && exec httpd -f -vv -p 8080 -h /tmp/www';
    const items = [
      pod('site', 'a2', ['/bin/sh', '-c', serve]),
      pod('visitor', 's1', ['/bin/sleep', '3600']),
      {
        ...meta('site'),
        kind: 'Service',
        spec: { selector: { app: 'site' }, ports: [{ port: 80, targetPort: 8080 }] },
      },
    ];
    const file = path.join(server.dataDir, 'site.json');
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    expect(kubectl('apply', '-f', file)).toMatchObject({ code: 0 });
    const addressOf = (name: string) =>
      kubectl('get', 'pod', name, '-o', 'jsonpath={.status.phase} {.status.podIP}').output;
    await expect.poll(() => addressOf('site'), patience).toMatch(/^Running 10\.42\.[1-9]/);
    await expect.poll(() => addressOf('visitor'), patience).toMatch(/^Running 10\.42\.0\./);
    const [site = '', visitor = ''] = [addressOf('site'), addressOf('visitor')].map((text) => text.split(' ')[1]);

    const ask = (host: string, port: number) =>
      kubectl(
        ...['exec', 'visitor', '--', 'sh', '-c'],
        `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 ${host} ${String(port)}`,
      ).output;
    await expect.poll(() => ask(site, 8080), patience).toContain('from a2');
    await expect.poll(() => ask('site.default.svc.cluster.local', 80), patience).toContain('from a2');
    // The address of the pod that asked, not of its node.
    expect(kubectl('logs', 'site').output).toContain(visitor);
    expect(kubectl('logs', 'site').output).not.toContain(server.ip);
  });

  test('no log, record or command line has a token in it', () => {
    const secrets = [server, late].map((machine) =>
      readFileSync(path.join(machine.dataDir, machine === server ? 'server/token' : 'node-token'), 'utf8')
        .trim()
        .split(':')
        .at(-1),
    );
    for (const machine of [server, early, late]) {
      for (const secret of secrets) {
        const found = machine.run(
          'grep',
          '-rlsF',
          '--exclude=*token',
          '--exclude-dir=db',
          secret ?? '',
          machine.dataDir,
          '/run/k3s-lite',
        );
        expect(found.output).toBe('');
      }
    }
    const commands = server.run('sh', '-c', 'cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null').output;
    for (const secret of secrets) expect(commands).not.toContain(secret);
  });

  test('none of what the machines watch over has ended by itself meanwhile', () => {
    const begun = (up: MachineUp | undefined, unit: string) =>
      new Set(up?.events.of('process.spawned', unit).map(({ event }) => event['pid'])).size;
    // Checked for a minute and more, by connections that resume their session.
    for (const unit of ['join-server', 'peers', 'kube-apiserver', 'kubelet'])
      expect(begun(serverUp, unit), unit).toBe(1);
    for (const unit of ['peers', 'kubelet', 'kube-proxy']) expect(begun(agents[1], unit), unit).toBe(1);
  });

  test('[H9] each node hears the heartbeats of the two others, and says so in its status', async () => {
    for (const machine of [server, early, late]) {
      await expect
        .poll(() => /^peers .*/m.exec(machine.k3sLite('status').output)?.[0] ?? '', patience)
        .toMatch(/2 of 2 peers answer, the slowest in \d+\.\d ms/);
    }
  });

  test('[H9] they reach the balancer of each node, which keeps the only server all the same', async () => {
    const pid = serverUp === undefined ? 0 : pidOf(serverUp, 'peers');
    const listed = () => {
      const [{ servers }] = JSON.parse(early.k3sLite('lb', 'list', '--json').output) as [{ servers: ServerLine[] }];
      return servers[0];
    };
    const signal = (name: string) => expect(server.run('kill', name, String(pid)).code).toBe(0);
    signal('-STOP');
    await expect.poll(() => listed()?.marks, patience).toContain('silent');
    expect(listed()?.connections).toBeGreaterThanOrEqual(3);
    signal('-CONT');
    await expect.poll(() => listed()?.marks, patience).not.toContain('silent');
    await expect.poll(() => listed()?.state, patience).toBe('active');
  });

  test('[H11] an agent’s certificates are made anew while it runs, by its old ones: the token was rotated meanwhile', async () => {
    expect(server.k3sLite('token', 'rotate')).toMatchObject({ code: 0 });
    const kubelet = () => agents[0]?.events.states('kubelet').at(-1)?.snapshot.pid;
    /** Serial number of what the kubelet shows. */
    const shown = () => {
      const script = `const s = require('tls').connect({host: '${early.ip}', port: 10250, rejectUnauthorized: false}, () => {
        console.log(s.getPeerCertificate().serialNumber); s.destroy(); })`;
      return server.run(process.execPath, '-e', script).output.trim();
    };
    const before = { pid: kubelet(), serial: shown() };
    expect(before.serial).toMatch(/^[0-9A-F]+$/);
    const { code, output } = early.k3sLite('certificate', 'rotate');
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).toContain('4 certificates are new');
    // The kubelet sees that its file has changed.
    await expect.poll(shown, { timeout: 90_000, interval: 500 }).not.toBe(before.serial);
    expect(kubelet()).toBe(before.pid);
    expect(kubectl('get', '--raw', '/api/v1/nodes/a1/proxy/healthz').output).toBe('ok');
    expect(server.k3sLite('logs', 'join-server').output).toMatch(/signed kubelet-serving for node a1/);
  });

  test('routes go with the node that they lead to, and all of them with the machine’s end', async () => {
    const routes = (machine: Machine) => machine.run('ip', 'route', 'show', 'proto', '143').output;
    for (const machine of [server, early, late]) {
      expect(routes(machine).trim().split('\n'), machine.name).toHaveLength(2);
    }
    expect(await agents[1]?.interrupt()).toBe(0);
    expect(routes(late)).toBe('');
    expect(late.run('nft', 'list', 'tables').output).not.toContain('k3s-lite');
    // It may come back: its pods' addresses are its own until it is taken out of the cluster.
    expect(routes(server)).toContain(`via ${late.ip} `);
    expect(kubectl('delete', 'node', 'a2')).toMatchObject({ code: 0 });
    for (const machine of [server, early]) {
      await expect.poll(() => routes(machine), patience).not.toContain(`via ${late.ip} `);
    }
    expect(routes(server)).toContain(`via ${early.ip} `);
  });
});
