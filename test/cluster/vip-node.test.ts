/**
 * `k3s-lite up --vip-pool` on a whole node: a Service of type LoadBalancer is reached from another
 * machine (a namespace at the other end of the node's cable) by the address that it was given.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { statusAnswer } from '../../src/vip/control-model.ts';
import { webContainer, webPort } from './kit/web-container.ts';
import { isRoot, nodeRig, type NodeRig } from './node-rig.ts';
import { must, run } from './rig/run.ts';

const cli = path.resolve(import.meta.dirname, '../../bin/k3s-lite.js');
const vip = '198.51.100.200';
const patience = { timeout: 60_000, interval: 250 };

const website = {
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', labels: { app: 'web' } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [webContainer('it answers')],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { type: 'LoadBalancer', selector: { app: 'web' }, ports: [{ port: 80, targetPort: webPort }] },
    },
  ],
};

describe.skipIf(!isRoot)('a node with a pool of virtual IPs', () => {
  let rig: NodeRig;
  let client: string;

  beforeAll(async () => {
    rig = await nodeRig(['--vip-pool', `lan=${vip}-198.51.100.209`, '--vip-default-class']);
    const id = rig.nodeName.replace('node-', '');
    client = `k3sl-c-${id}`;
    must('ip', 'netns', 'add', client);
    must('ip', 'link', 'set', `k3sl${id}`, 'netns', client);
    must('ip', '-n', client, 'address', 'add', '198.51.100.254/24', 'dev', `k3sl${id}`);
    must('ip', '-n', client, 'link', 'set', `k3sl${id}`, 'up');
    await rig.up();
  });
  afterAll(async () => {
    try {
      await rig[Symbol.asyncDispose]();
    } finally {
      run(['ip', 'netns', 'delete', client]);
    }
  });

  const fetched = () => run(['ip', 'netns', 'exec', client, 'curl', '-sS', '-m', '1', `http://${vip}/`]).output;
  const vipCommand = (...args: string[]) =>
    rig.inNetwork(process.execPath, cli, 'vip', ...args, '--data-dir', rig.dataDir);
  const status = () => statusAnswer.parse(JSON.parse(vipCommand('status', '--json').output));

  test('[V1] a Service of type LoadBalancer is reached from another machine by its address', async () => {
    const file = path.join(rig.dataDir, 'website.json');
    writeFileSync(file, JSON.stringify(website));
    expect(rig.kubectl('apply', '-f', file)).toMatchObject({ code: 0 });
    await expect.poll(fetched, patience).toBe('it answers\n');
    const ingress = rig.kubectl('get', 'service', 'web', '-o', 'jsonpath={.status.loadBalancer.ingress[0].ip}');
    expect(ingress.output).toBe(vip);
    await expect
      .poll(() => rig.kubectl('get', 'events', '--field-selector=reason=Assigned').output, patience)
      .toContain(`${vip} is held by ${rig.nodeName}`);
  });

  test('[V5] [V12] status and metrics say who holds it', () => {
    expect(status()).toMatchObject({
      leaseGood: true,
      coordinator: rig.nodeName,
      nodes: [{ name: rig.nodeName, state: 'ready', held: 1 }],
      addresses: [{ address: vip, owner: rig.nodeName, state: 'granted', services: ['default/web'] }],
    });
    const metrics = vipCommand('metrics').output;
    expect(metrics).toContain(`k3s_lite_vip_held{node="${rig.nodeName}"} 1\n`);
    expect(metrics).toMatch(/^k3s_lite_vip_imbalance_ratio 1$/m);
    expect(metrics).toMatch(/^k3s_lite_vip_moves_total\{reason="new"\} 1$/m);
    expect(vipCommand('explain', vip).output).toContain(`${vip} is on ${rig.nodeName}`);
    expect(vipCommand('explain', '198.51.100.77')).toMatchObject({ code: 2 });
  });

  test('[V10] its process may change addresses, rules and frames, and nothing else that root may', () => {
    const read = (pid: string, file: string) => {
      try {
        return readFileSync(`/proc/${pid}/${file}`, 'latin1');
      } catch {
        return ''; // it has ended
      }
    };
    const isOurs = (pid: string) => {
      const command = read(pid, 'cmdline');
      return command.includes('\0internal\0vip\0') && command.includes(rig.dataDir);
    };
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && isOurs(name));
    expect(pids).toHaveLength(1);
    const [, bounding = ''] = /^CapBnd:\s*([0-9a-f]+)$/m.exec(read(pids[0] ?? '', 'status')) ?? [];
    // Bits 12 and 13; bit 2 (DAC_READ_SEARCH) where the clone is in another user's home. Source: linux/capability.h.
    expect(BigInt(`0x${bounding}`) & ~(1n << 2n)).toBe((1n << 12n) | (1n << 13n));
  });

  test('a drain and a pin are asked for and taken back; with no other node the address stays where it is', async () => {
    const nodeState = () => status().nodes.map(({ state }) => state);
    expect(vipCommand('drain', rig.nodeName)).toMatchObject({ code: 0 });
    await expect.poll(nodeState, patience).toEqual(['draining']);
    expect(fetched()).toBe('it answers\n');
    expect(vipCommand('undrain', rig.nodeName)).toMatchObject({ code: 0 });
    await expect.poll(nodeState, patience).toEqual(['ready']);
    expect(vipCommand('pin', vip, rig.nodeName)).toMatchObject({ code: 0 });
    await expect.poll(() => status().addresses, patience).toMatchObject([{ address: vip, pinnedTo: rig.nodeName }]);
    expect(vipCommand('unpin', vip)).toMatchObject({ code: 0 });
    await expect.poll(() => status().addresses[0]?.pinnedTo, patience).toBeUndefined();
  });

  test('[V1] what a Lease names as the address of the API servers counts only if a server was given it', async () => {
    const named = (name: string, address: string) => ({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name: `vip-node-${name}`,
        namespace: 'kube-system',
        labels: { 'app.kubernetes.io/managed-by': 'k3s-lite-vip' },
        annotations: { 'vip.k3s-lite.io/apiserver-vip': address, 'vip.k3s-lite.io/apiserver-ready': 'true' },
      },
      spec: { holderIdentity: `${name}/1`, leaseDurationSeconds: 60 },
    });
    const file = path.join(rig.dataDir, 'forged.json');
    const items = [named('forged-1', vip), named('forged-2', '198.51.100.77')];
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    // By the name under which the process itself is known.
    expect(rig.kubectl('apply', '--as', 'k3s-lite:vip', '-f', file)).toMatchObject({ code: 0 });
    const log = () => rig.inNetwork(process.execPath, cli, 'logs', 'vip', '--data-dir', rig.dataDir).output;
    const refused = 'as the API servers’ address, which is refused: no server was started with it';
    await expect.poll(log, patience).toContain(`forged-1 names ${vip} ${refused}`);
    await expect.poll(log, patience).toContain(`forged-2 names 198.51.100.77 ${refused}`);
    expect(status().addresses).toMatchObject([{ address: vip, owner: rig.nodeName, services: ['default/web'] }]);
    expect(fetched()).toBe('it answers\n');
    const may = (verb: string) =>
      rig.kubectl('auth', 'can-i', verb, 'configmaps/vip-apiserver', '-n', 'kube-system', '--as', 'k3s-lite:vip')
        .output;
    expect([may('get'), may('update'), may('delete')].map((each) => each.trim().split('\n').at(-1))).toEqual([
      'yes',
      'no',
      'no',
    ]);
    expect(rig.kubectl('delete', '-f', file)).toMatchObject({ code: 0 });
  });

  test('[V10] a stop leaves no address behind', async () => {
    expect(await rig.interrupt('SIGTERM')).toBe(0);
    expect(rig.inNetwork('ip', '-brief', 'address').output).not.toContain(vip);
    expect(rig.inNetwork('nft', 'list', 'tables').output).not.toContain('k3s-lite-vip');
  });
});
