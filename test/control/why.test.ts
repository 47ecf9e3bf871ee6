import { describe, expect, test } from 'vitest';
import { renderWhy } from '../../src/cli/commands/why-tree.ts';
import { explain } from '../../src/control/why.ts';
import type { UnitSnapshot } from '../../src/unit/state.ts';
import { fakeGraph } from '../kit/fake-graph.ts';
import { moment, portConflict, readinessError, snapshot } from '../report/facts.ts';

const plain = { colour: false };

function why(notation: string, unit: string, snapshots: readonly UnitSnapshot[], nowMs: number) {
  return explain({ unit, snapshots, graph: fakeGraph(notation), nowMs });
}

const waits = (unit: string, kind: 'hard' | 'soft' = 'hard') => ({
  unit,
  kind,
  state: 'failed' as const,
  since: moment(0),
});

describe('why', () => {
  // kubelet → containerd (up), kube-apiserver → etcd (failed)
  const notation = 'kubelet -> hard containerd, hard kube-apiserver, parallel dns; kube-apiserver -> hard etcd';

  test('[S8] a blocked unit: every gate, the way down to the root, its error, its next try, the hint', () => {
    const { etcd, apiserver, kubelet } = portConflict();
    const reply = why(
      notation,
      'kubelet',
      [
        snapshot('containerd', 'ready', { since: moment(1000) }),
        snapshot('etcd', 'failed', { since: moment(3000), lastError: etcd, nextRetryAt: moment(33_000), restarts: 4 }),
        snapshot('kube-apiserver', 'blocked', {
          since: moment(3000),
          lastError: apiserver,
          waitingFor: [waits('etcd')],
        }),
        snapshot('kubelet', 'blocked', {
          since: moment(3000),
          lastError: kubelet,
          waitingFor: [waits('kube-apiserver')],
        }),
        snapshot('dns', 'ready', { since: moment(2000) }),
      ],
      15_000,
    );
    const root = 'etcd exited with code 1: bind: address already in use (2379 is held by pid 812 etcd)';
    expect(renderWhy(reply, plain).split('\n')).toEqual([
      'kubelet is blocked, for 12.0 s',
      '├─ containerd ready, for 14.0 s (hard)',
      '├─ kube-apiserver blocked, for 12.0 s (hard, closed)',
      '│  └─ etcd failed, for 12.0 s (hard, closed)',
      `│     last error: ${root}`,
      '│     next try in 18.0 s',
      '└─ dns ready, for 13.0 s (parallel)',
      `root cause: ${root}`,
      '  hint: stop pid 812, or choose another port with --etcd-client-port',
    ]);
  });

  test('a ready unit has no root cause; a degraded one says without what, and why', () => {
    const error = readinessError('ERR_EXITED', 'dns', { reason: 'exited with code 2' });
    const reply = why(
      'api -> soft dns',
      'api',
      [
        snapshot('api', 'ready', {
          since: moment(0),
          pid: 42,
          restarts: 1,
          degraded: [{ unit: 'dns', kind: 'soft', reason: 'failed', cause: error }],
        }),
        snapshot('dns', 'failed', { since: moment(0), lastError: error }),
      ],
      60_000,
    );
    expect(renderWhy(reply, plain).split('\n')).toEqual([
      'api is ready, for 1 m 0 s, pid 42, 1 restart',
      'degraded: without dns (soft), failed: dns exited with code 2',
      '└─ dns failed, for 1 m 0 s (soft)',
      '   last error: dns exited with code 2',
      'root cause: dns exited with code 2',
    ]);
    expect(why('db', 'db', [snapshot('db', 'ready')], 0).roots).toEqual([]);
    const lastFailure = { at: moment(2000), text: 'db was ended by SIGKILL' };
    const again = snapshot('db', 'ready', { since: moment(2500), restarts: 1, lastFailure });
    expect(renderWhy(why('db', 'db', [again], 3000), plain)).toBe(
      'db is ready, for 0.50 s, 1 restart\nlast failure, 1.0 s ago: db was ended by SIGKILL',
    );
  });

  test('all roots are named when several units hold one up', () => {
    const reply = why(
      'api -> hard db, hard cache',
      'api',
      [
        snapshot('api', 'waiting', { waitingFor: [waits('db'), waits('cache')] }),
        snapshot('db', 'starting', { since: moment(0) }),
        snapshot('cache', 'failed', {
          lastError: readinessError('ERR_EXITED', 'cache', { reason: 'exited with code 1' }),
        }),
      ],
      2000,
    );
    expect(reply.roots).toEqual([
      { unit: 'db', line: 'db is starting, for 2.0 s' },
      { unit: 'cache', line: 'cache exited with code 1' },
    ]);
  });

  test('a unit that many wait for is told once, so that a wide graph stays small', () => {
    // 30 layers of two, each waiting for both of the layer below: 2^30 paths.
    const layers = Array.from({ length: 30 }, (_, at) => at);
    const edges = layers
      .slice(1)
      .flatMap((at) =>
        ['a', 'b'].map((side) => `${side}${String(at)} -> hard a${String(at - 1)}, hard b${String(at - 1)}`),
      );
    const snapshots = layers.flatMap((at) =>
      ['a', 'b'].map((side) =>
        snapshot(`${side}${String(at)}`, 'waiting', {
          waitingFor: at === 0 ? [] : [waits(`a${String(at - 1)}`), waits(`b${String(at - 1)}`)],
        }),
      ),
    );
    const reply = why(edges.join(';'), 'a29', snapshots, 0);
    expect(JSON.stringify(reply).length).toBeLessThan(40_000);
    expect(reply.roots.map(({ unit }) => unit)).toEqual(['a0', 'b0']);
  });

  test('a unit that is to stop: which dependents it waits for, and the one that keeps all of them', () => {
    const snapshots = [
      snapshot('etcd', 'ready', { since: moment(0) }),
      snapshot('kube-apiserver', 'ready', { since: moment(1000) }),
      snapshot('backup', 'stopped', { since: moment(7000), desired: 'down' }),
      snapshot('kubelet', 'stopping', { since: moment(6000), desired: 'down', stoppedByUser: true }),
    ];
    const graph = fakeGraph('kubelet -> hard kube-apiserver; kube-apiserver -> hard etcd; backup -> soft etcd');
    const stopWaitsFor = (unit: string) => (unit === 'kubelet' ? [] : graph.stopsAfter(unit));
    const reply = explain({ unit: 'etcd', snapshots, graph, nowMs: 9000, stopWaitsFor });
    expect(renderWhy(reply, plain).split('\n')).toEqual([
      'etcd is ready, for 9.0 s',
      'is to stop, and waits until these have: kube-apiserver (ready, for 8.0 s)',
      'root cause: kubelet is stopping, for 3.0 s',
    ]);
    // One whose turn has come waits for itself.
    const last = explain({ unit: 'kubelet', snapshots, graph, nowMs: 9000, stopWaitsFor });
    expect(renderWhy(last, plain)).not.toContain('is to stop');
  });

  test('a unit that was stopped by hand is itself the root', () => {
    const reply = why('db', 'db', [snapshot('db', 'stopped', { desired: 'down' })], 1000);
    expect(reply.roots).toEqual([{ unit: 'db', line: 'db is stopped, for 1.0 s, because it is not wanted up' }]);
  });
});
