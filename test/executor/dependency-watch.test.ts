import { expect, test } from 'vitest';
import { DependencyWatch, isSameWait } from '../../src/executor/dependency-watch.ts';
import type { Need } from '../../src/unit/schema.ts';
import type { UnitSnapshot } from '../../src/unit/state.ts';
import { errorNamed } from './machine-fixture.ts';
import { moment, snapshotOf } from './snapshots.ts';

/** A watch over targets that a test can change. */
function watchOver(needs: readonly Need[], ...first: UnitSnapshot[]) {
  const targets = new Map(first.map((snapshot) => [snapshot.unit, snapshot]));
  const watch = new DependencyWatch(needs, (unit) => targets.get(unit) ?? snapshotOf(unit, 'inactive'));
  return { watch, set: (snapshot: UnitSnapshot) => void targets.set(snapshot.unit, snapshot) };
}
const onLoss = (then: 'keep' | 'restart' | 'stop', unit = 'db'): Need => ({
  kind: 'hard',
  unit,
  until: 'ready',
  onLoss: then,
});
const names = (watch: DependencyWatch) => watch.degraded().map(({ unit, kind }) => `${kind} ${unit}`);

test.each(['restart', 'stop'] as const)('[S7] a lost dependency with onLoss: %s is told once', (then) => {
  const { watch, set } = watchOver([onLoss(then)], snapshotOf('db'));
  watch.bind([]);
  expect(watch.takeLoss()).toBeUndefined();
  set(snapshotOf('db', 'stopping'));
  expect(watch.takeLoss()).toEqual({ unit: 'db', then });
  expect(watch.takeLoss()).toBeUndefined();
});

test('a dependency that is back as another generation was lost all the same', () => {
  const { watch, set } = watchOver([onLoss('restart')], snapshotOf('db'));
  watch.bind([]);
  set(snapshotOf('db', 'ready', { generation: 2 }));
  expect(watch.takeLoss()).toMatchObject({ unit: 'db' });
});

test('an adopted unit is bound to adopted services at once, and to what runs again only when it is up', () => {
  const { watch, set } = watchOver(
    [onLoss('restart'), onLoss('stop', 'task')],
    snapshotOf('db', 'starting', { generation: 4 }),
    snapshotOf('task', 'inactive', { generation: 0 }),
  );
  watch.bindAdopted();
  expect(watch.takeLoss(), 'neither is being asked again nor runs again a loss').toBeUndefined();
  set(snapshotOf('task', 'starting'));
  expect(watch.takeLoss()).toBeUndefined();
  set(snapshotOf('task', 'done'));
  expect(watch.takeLoss()).toBeUndefined();
  set(snapshotOf('task', 'stopping'));
  expect(watch.takeLoss()).toEqual({ unit: 'task', then: 'stop' });
  set(snapshotOf('db', 'stopping', { generation: 4 }));
  expect(watch.takeLoss()).toEqual({ unit: 'db', then: 'restart' });
});

test('an unhealthy dependency is not lost, and onLoss: keep never is', () => {
  const { watch, set } = watchOver([onLoss('restart'), onLoss('keep', 'cache')], snapshotOf('db'), snapshotOf('cache'));
  watch.bind([]);
  set(snapshotOf('db', 'unhealthy'));
  set(snapshotOf('cache', 'failed'));
  expect(watch.takeLoss()).toBeUndefined();
});

test('[S7] a soft dependency that was missing at the start degrades until it is ready, once', () => {
  const need: Need = { kind: 'soft', unit: 'cache', maxWaitMs: 100 };
  const { watch, set } = watchOver([need], snapshotOf('cache', 'starting'));
  const gates = watch.gates(100);
  watch.bind(gates.kind === 'open' ? gates.missing : []);
  expect(names(watch)).toEqual(['soft cache']);
  set(snapshotOf('cache', 'ready'));
  expect(names(watch)).toEqual([]);
  set(snapshotOf('cache', 'backoff'));
  expect(names(watch), 'lost again: no degraded start').toEqual([]);
});

test('[S7] a parallel dependency degrades for as long as it cannot start', () => {
  const { watch, set } = watchOver([{ kind: 'parallel', unit: 'metrics' }], snapshotOf('metrics', 'starting'));
  expect(names(watch)).toEqual([]);
  const lastError = errorNamed('no');
  set(snapshotOf('metrics', 'failed', { exhausted: true, lastError }));
  expect(watch.degraded()).toEqual([{ unit: 'metrics', kind: 'parallel', reason: 'failed', cause: lastError }]);
  set(snapshotOf('metrics', 'ready'));
  expect(names(watch)).toEqual([]);
});

test('two waits are the same if unit, state and error are', () => {
  const gate = { unit: 'a', kind: 'hard', state: 'starting', since: moment } as const;
  expect(isSameWait([gate], [{ ...gate, since: { wallMs: 9, monotonicMs: 9 } }])).toBe(true);
  expect(isSameWait([gate], [])).toBe(false);
  expect(isSameWait([gate], [{ ...gate, state: 'backoff' }])).toBe(false);
  expect(isSameWait([gate], [{ ...gate, lastError: errorNamed('new') }])).toBe(false);
});
