import { expect, test } from 'vitest';
import { figure, markdown, table, verdict } from '../../bench/report.mjs';
import { overheadOf } from '../../bench/rows/cluster-overhead.mjs';
import { shellEntrypoint } from '../../bench/shell-entrypoint.mjs';

const order = [
  'containerd',
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
];
const stampsOf = (starts: readonly number[]) =>
  new Map(order.map((name, i) => [name, { start: starts[i] ?? 0 }] as const));
const readyAt = (times: readonly number[]) => Object.fromEntries(order.map((name, i) => [name, times[i] ?? 0]));

// etcd 100 → 500, apiserver 505 → 2500, kube-proxy 2502 → 2700; said at 2704.
test('overhead is everything along the path that was no work of a component', () => {
  const stamps = stampsOf([100, 100, 505, 2503, 2504, 200, 2502]);
  const At = { ...readyAt([150, 500, 2500, 2600, 2650, 900, 2700]), node: 2550, declared: 2704 };
  expect(overheadOf({ At }, stamps)).toMatchObject({
    units: ['etcd', 'kube-apiserver', 'kube-proxy'],
    beforeMs: 100,
    betweenMs: 5 + 2,
    afterMs: 4,
    overheadMs: 111,
    selfMs: 400 + 1995 + 198,
  });
});

test('a unit that did not wait for its gate begins the path itself', () => {
  const stamps = stampsOf([100, 100, 110, 2003, 2004, 200, 2002]);
  const At = { ...readyAt([150, 500, 2000, 2100, 2150, 900, 2200]), node: 2050, declared: 2201 };
  expect(overheadOf({ At }, stamps)).toMatchObject({ units: ['kube-apiserver', 'kube-proxy'], beforeMs: 110 });
});

test('a prober that was slower than k3s-lite makes no negative overhead', () => {
  const stamps = stampsOf([100, 100, 505, 2503, 2504, 200, 2502]);
  const At = { ...readyAt([150, 510, 2500, 2600, 2650, 900, 2700]), node: 2550, declared: 2704 };
  expect(overheadOf({ At }, stamps)).toMatchObject({ betweenMs: 2, selfMs: 405 + 1995 + 198 });
});

const processes = order.map((name) => ({ Argv: [`/bin/x/${name}`, '--config=a b'], Env: [] }));
const controllerManager = {
  Argv: ['/bin/x/kube-controller-manager', '--kube-api-qps=300', '--leader-elect=false'],
  Env: [],
};
const node = {
  processes: processes.map((each) =>
    each.Argv[0]?.endsWith('controller-manager') === true ? controllerManager : each,
  ),
  dataDir: '/data',
  socket: '/run/c.sock',
  pauseArchive: '/pause.tar',
  sleep: '1',
};

test('the shell waits for each program before it starts the next, in the order of K3s', () => {
  const lines = shellEntrypoint({ ...node, isTuned: true }).split('\n');
  const starts = lines.filter((line) => line.endsWith('&')).map((line) => /^\/bin\/x\/(\S+)/.exec(line)?.[1]);
  expect(starts).toEqual(order);
  for (const [i, line] of lines.entries()) {
    if (line.endsWith('&')) expect(lines[i + 1]).toMatch(/^until .*; do sleep 1; done$/);
  }
  expect(lines.some((line) => line.includes("'--config=a b'"))).toBe(true);
});

test('the usual flags are ours without those that are part of what is compared', () => {
  expect(shellEntrypoint({ ...node, isTuned: true })).toContain('--kube-api-qps=300');
  const usual = shellEntrypoint({ ...node, isTuned: false });
  expect(usual).not.toContain('--kube-api-qps');
  expect(usual).toContain('--leader-elect=false');
});

test('a program that the node did not have is named', () => {
  expect(() => shellEntrypoint({ ...node, processes: [], isTuned: true })).toThrow(/no containerd/);
});

const row = (measure: string, unit: string, median: number, goal: number) => ({
  subject: 's',
  measure,
  unit,
  goal,
  n: 7,
  median,
  p90: median,
  min: median,
  max: median,
});

test('a time reaches its goal from below, a speed-up from above', () => {
  expect(verdict(row('start', 'ms', 90, 100))).toBe('reached');
  expect(verdict(row('start', 'ms', 110, 100))).toBe('missed');
  expect(verdict(row('speed-up over shell', '×', 1.5, 1.4))).toBe('reached');
  expect(verdict(row('speed-up over shell', '×', 1.3, 1.4))).toBe('missed');
});

test('a goal in time grows with the slowness of the machine, and no other does', () => {
  const slow = { paceMs: 99.4 }; // a shell that starts 200 processes: twice the reference
  expect(verdict({ ...row('start', 'ms', 190, 100), ...slow })).toBe('reached');
  expect(verdict({ ...row('start', 'ms', 210, 100), ...slow })).toBe('missed');
  expect(verdict({ ...row('memory', 'MB', 110, 100), ...slow })).toBe('missed');
  expect(verdict({ ...row('start', 'ms', 90, 100), paceMs: 20 })).toBe('reached');
  expect(table([{ ...row('start', 'ms', 190, 100), ...slow }])).toContain('≤ 100, here 200');
});

test('figures have three digits that mean something', () => {
  expect([0.1234, 12.345, 1234.5, Number.NaN].map(figure)).toEqual(['0.123', '12.3', '1235', '–']);
});

test('table and Markdown show the same cells', () => {
  const rows = [{ ...row('start', 'ms', 90, 100), others: { sh: 41.25 } }];
  expect(table(rows)).toMatch(/s\s+start\s+90 ms\s+90\s+7\s+≤ 100\s+reached\s+sh: 41.3/);
  expect(markdown(rows).split('\n').at(-1)).toBe('| s | start | 90 ms | 90 | 7 | ≤ 100 | reached | sh: 41.3 |');
});

test('what could not be measured is neither reached nor missed, and says why', () => {
  const row = {
    ...{ subject: 'chain 100', measure: 'start', unit: '×', goal: 1 },
    ...{ n: 0, median: Number.NaN, p90: Number.NaN, min: Number.NaN, max: Number.NaN },
    note: 'it cannot be built',
  };
  expect(verdict(row)).toBe('');
  expect(table([row]).split('\n')[1]).toMatch(/– × .*≤ 1 .*it cannot be built$/);
});
