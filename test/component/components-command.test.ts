import { describe, expect, test } from 'vitest';
import type { CommandInput, Io } from '../../src/cli/command.ts';
import { progressPrinter } from '../../src/cli/commands/component-progress.ts';
import { renderComponents } from '../../src/cli/commands/component-table.ts';
import { run } from '../../src/cli/commands/components.ts';
import type { Progress } from '../../src/component/build.ts';
import type { ComponentReport } from '../../src/component/report.ts';
import { temporaryFolder } from './temporary.ts';

function terminal(isTty: boolean) {
  const written = { out: '', err: '' };
  const io: Io = {
    out: (text) => void (written.out += text),
    err: (text) => void (written.err += text),
    outIsTty: isTty,
    errIsTty: isTty,
    columns: 60,
    colour: false,
  };
  return { io, written };
}

const call = (io: Io, args: readonly string[], rest: Partial<CommandInput> = {}) =>
  run({ args, options: {}, io, env: process.env, cwd: '/', signal: new AbortController().signal, ...rest });

describe('k3s-lite components', () => {
  test('list --json tells of each program its path, version, origin and support', async () => {
    using folder = temporaryFolder();
    folder.program('etcd', 'etcd Version: 3.6.8');
    const { io, written } = terminal(false);
    const env = { PATH: '/nonexistent', XDG_CACHE_HOME: folder.path };
    expect(await call(io, ['list'], { options: { json: true, binDir: folder.path }, env })).toBe(0);
    const { programs } = JSON.parse(written.out) as ComponentReport;
    expect(programs).toContainEqual({
      status: 'found',
      program: 'etcd',
      role: 'control-plane',
      artefact: 'kubernetes',
      path: `${folder.path}/etcd`,
      origin: 'bin-dir',
      version: '3.6.8',
      support: { supported: true },
      passedOver: [],
    });
    expect(programs).toContainEqual(expect.objectContaining({ program: 'coredns', status: 'missing' }));
  });

  test.each([
    [['lst'], 'unknown word "lst", did you mean list? It is one of list, build, verify, export, import'],
    [['build', 'kubernets'], '"kubernets" is nothing we build, did you mean kubernetes?'],
    [['export'], '`components export` takes one FILE'],
    [['toString'], 'unknown word "toString"'],
  ])('%j is answered with what was meant', async (args, message) => {
    await expect(call(terminal(false).io, args)).rejects.toMatchObject({
      code: 'ERR_USAGE',
      message: expect.stringContaining(message) as string,
    });
  });
});

const report: ComponentReport = {
  kubernetesVersion: '1.36.3',
  programs: [
    {
      status: 'found',
      program: 'containerd',
      role: 'node',
      artefact: 'containerd',
      path: '/usr/bin/containerd',
      version: '1.6.20',
      origin: 'path',
      support: { supported: false, reason: 'Kubernetes 1.36 needs containerd 2.x' },
      passedOver: [],
    },
    {
      status: 'missing',
      program: 'runc',
      role: 'node',
      lookedIn: ['/usr/bin'],
      remedy: 'install the package runc (Debian and Ubuntu: apt-get install runc)',
    },
  ],
};

test('the table says below it what is wrong and what to do', () => {
  expect(renderComponents(report, false)).toBe(`PROGRAM     VERSION  FROM  FOR   PATH
containerd  1.6.20   path  node  /usr/bin/containerd
runc        -        -     node  missing

containerd 1.6.20 is not supported: Kubernetes 1.36 needs containerd 2.x
runc is missing: install the package runc (Debian and Ubuntu: apt-get install runc)
to build: k3s-lite components build (containerd)
`);
});

describe('progress', () => {
  const at = (elapsedMs: number, step: string): Progress => ({
    type: 'component.progress',
    component: 'etcd',
    step,
    elapsedMs,
    estimateMs: 60_000,
  });

  test('without a terminal there is a line at the start, now and then, and at the end', () => {
    const { io, written } = terminal(false);
    const { show } = progressPrinter(io, { count: 1, totalMs: 60_000 });
    for (let second = 0; second < 40; second += 1) show(at(second * 1000, 'compiling'));
    show(at(40_000, 'built'));
    expect(written.err.split('\n')).toEqual([
      'building 1 component: about 1 m 0 s when nothing is cached',
      'etcd: compiling (0 ms of about 1 m 0 s)',
      'etcd: compiling (15.0 s of about 1 m 0 s)',
      'etcd: compiling (30.0 s of about 1 m 0 s)',
      'etcd: built (40.0 s of about 1 m 0 s)',
      '',
    ]);
  });

  test('on a terminal one line is rewritten, never wider than it, and gone at the end', () => {
    const { io, written } = terminal(true);
    {
      using progress = progressPrinter(io, { count: 1, totalMs: 60_000 });
      progress.show(at(0, 'x'.repeat(100)));
    }
    const [, line = '', cleared] = written.err.split('\r');
    expect(line.replace('\u001b[K', '')).toHaveLength(59);
    expect(cleared).toBe('\u001b[K');
  });
});
