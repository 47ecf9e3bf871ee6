import { expect, test } from 'vitest';
import type { ExecutorPorts } from '../../src/executor/ports.ts';
import { runUndo } from '../../src/executor/undo.ts';
import { fakeClock } from '../kit/fake-clock.ts';
import { fakeUnit } from '../kit/fake-graph.ts';
import { fakeNotify, fakeProbes } from '../kit/fake-probe.ts';
import { fakeProcesses } from '../kit/fake-process.ts';
import { snapshotOf } from './snapshots.ts';

function portsWith(undo: { takesMs: number; fails: boolean }, builtins: ExecutorPorts['builtins'] = new Map()) {
  const clock = fakeClock();
  const process = fakeProcesses({ clock, undo: () => undo });
  const ports: ExecutorPorts = {
    clock,
    random: () => 0.5,
    process,
    notify: fakeNotify(),
    createProbe: fakeProbes(process),
    builtins,
  };
  return { clock, ports };
}
const undoOf = (undo: string[], ports: ExecutorPorts) =>
  runUndo({ unit: fakeUnit('links', { undo }), generation: 1, ports, snapshotOf: (unit) => snapshotOf(unit) });

test('an undo that exits with 0 says nothing', async () => {
  const { clock, ports } = portsWith({ takesMs: 5, fails: false });
  await expect(clock.run(undoOf(['ip', 'link', 'delete', 'cni0'], ports))).resolves.toBeUndefined();
  expect(clock.pendingTimers).toBe(0);
});

test('an undo that fails says which program failed and how', async () => {
  const { clock, ports } = portsWith({ takesMs: 5, fails: true });
  await expect(clock.run(undoOf(['ip'], ports))).resolves.toBe('cannot undo links: ip exited with code 1');
});

test('an undo that hangs is given up after a minute', async () => {
  const { clock, ports } = portsWith({ takesMs: 3_600_000, fails: false });
  await expect(clock.run(undoOf(['ip'], ports))).resolves.toBe('cannot undo links: it took too long');
  expect([clock.monotonicMs(), clock.pendingTimers]).toEqual([60_000, 0]);
});

test('an undo may be a builtin, which gets its arguments', async () => {
  const given: unknown[] = [];
  const builtin = ({ args, unit }: { args: readonly string[]; unit: { name: string } }) => {
    given.push(unit.name, ...args);
    return Promise.resolve();
  };
  const { clock, ports } = portsWith({ takesMs: 0, fails: false }, new Map([['sweep', builtin]]));
  await expect(clock.run(undoOf(['builtin:sweep', 'all'], ports))).resolves.toBeUndefined();
  expect(given).toEqual(['links', 'all']);
  await expect(clock.run(undoOf(['builtin:sweeep'], ports))).resolves.toContain('there is no builtin:sweeep');
});
