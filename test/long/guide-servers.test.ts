/**
 * "Three servers and two agents" of docs/guide.md as printed: its commands are taken out of it and run, on
 * machines of the names that it uses; what it has the reader carry from one to another is copied.
 *
 *   server-1 ◄─ server-2, server-3 ◄─ agent-1, agent-2
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blocksOf } from '../cluster/readme-blocks.ts';
import { clusterRig, type ClusterRig } from '../cluster/rig/cluster-rig.ts';
import type { MachineUp } from '../cluster/rig/machine.ts';

const isRoot = process.getuid?.() === 0;
const guide = path.resolve(import.meta.dirname, '../../docs/guide.md');
const [first, ...others] = ['server-1', 'server-2', 'server-3', 'agent-1', 'agent-2'] as const;
const names = [first, ...others];
const patience = { timeout: 120_000, interval: 500 };

/** Without prompts or comments. */
const lines = blocksOf('Three servers and two agents', readFileSync(guide, 'utf8')).flatMap(({ text }) =>
  text
    .trim()
    .split('\n')
    .map((line) => line.replace(/ +#.*$/, '')),
);
const wordsOf = (begin: string): readonly string[] => {
  const line = lines.find((one) => one.startsWith(`k3s-lite ${begin}`));
  if (line === undefined) throw new Error(`docs/guide.md has no line "k3s-lite ${begin} …"`);
  return line.split(' ').slice(1);
};

describe.skipIf(!isRoot)('three servers and two agents, as docs/guide.md says', () => {
  let rig: ClusterRig;
  const running = new Map<string, MachineUp>();
  const start = (name: string, [command, ...args]: readonly string[]): MachineUp => {
    const up = rig.machine(name).up(command === 'agent' ? 'agent' : 'up', args);
    running.set(name, up);
    return up;
  };

  beforeAll(async () => {
    rig = await clusterRig(names);
    const hosts = ['127.0.0.1 localhost', ...names.map((name) => `${rig.machine(name).ip} ${name}`), ''].join('\n');
    for (const name of names) {
      const { dataDir, run } = rig.machine(name);
      const file = path.join(dataDir, '..', 'hosts');
      writeFileSync(file, hosts);
      expect(run('mount', '--bind', file, '/etc/hosts')).toMatchObject({ code: 0 });
    }
  });
  afterAll(async () => {
    try {
      for (const name of ['agent-1', 'agent-2']) await running.get(name)?.interrupt();
      await Promise.allSettled([...running.values()].map((up) => up.interrupt()));
    } finally {
      await rig[Symbol.asyncDispose]();
    }
  });

  test(
    'each command does what it says; five nodes are Ready, three members of etcd vote',
    { timeout: 400_000 },
    async () => {
      await start(first, wordsOf('up --cluster-init')).events.ready();
      const tokens = lines.flatMap((line) => {
        const [, args, file] = /^k3s-lite token (.*) > (\S+)$/.exec(line) ?? [];
        return args === undefined || file === undefined ? [] : [{ args: args.split(' '), file }];
      });
      expect(tokens.map(({ file }) => file)).toEqual(['server-token', 'node-token']);
      for (const { args, file } of tokens) {
        const { code, output } = rig.machine(first).k3sLite('token', ...args);
        expect(code, output).toBe(0);
        const goesTo = others.filter((name) => name.startsWith(file === 'node-token' ? 'agent' : 'server'));
        for (const name of goesTo) writeFileSync(path.join(rig.machine(name).dataDir, file), output, { mode: 0o600 });
      }
      await Promise.all(
        others.map((name) => start(name, wordsOf(name.startsWith('agent') ? 'agent' : 'up --server')).events.ready()),
      );
      const { machine } = rig;
      for (const name of ['server-1', 'server-3']) {
        const nodes = () => machine(name).k3sLite('kubectl', 'get', 'nodes', '--no-headers').output;
        for (const each of names) await expect.poll(nodes, patience).toMatch(new RegExp(`^${each} +Ready `, 'm'));
      }
      const members = () => machine('server-2').k3sLite('status').output;
      await expect.poll(members, patience).toMatch(/^etcd-voter +done /m);
    },
  );
});
