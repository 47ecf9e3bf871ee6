import { describe, expect, test } from 'vitest';
import type { Envelope } from '../../src/event/event.ts';
import { emptyModel, fold, type Model } from '../../src/report/model.ts';
import { renderTree } from '../../src/report/terminal/tree.ts';
import type { UnitStateName } from '../../src/unit/state.ts';
import { envelopes, goodStart, moment, portConflict, snapshot, state, upStarted } from './facts.ts';

function modelOf(all: readonly Envelope[]): Model {
  const model = emptyModel();
  for (const envelope of all) fold(model, envelope);
  return model;
}

const size = { columns: 100, rows: 24, colour: false };
const until = (ms: number) => goodStart().filter(({ monotonicMs }) => monotonicMs <= ms);

describe('the live tree', () => {
  test('[S8] shows each unit with its state, for how long, and what it waits for', () => {
    expect(renderTree(modelOf(until(400)), { ...size, nowMs: 1500 })).toEqual([
      'k3s-lite  starting  1.5 s  1 of 3 ready, 1 waiting, 1 starting',
      '✔ etcd           ready       0.40 s',
      '● kube-apiserver starting     1.1 s',
      '○ kubelet        waiting      1.5 s  for kube-apiserver',
    ]);
  });

  test('the last frame has the time that each unit took by itself', () => {
    expect(renderTree(modelOf(goodStart()), { ...size, nowMs: 99_000 })).toEqual([
      'k3s-lite  ready  3.5 s  3 of 3 ready',
      '✔ etcd           ready       0.40 s',
      '✔ kube-apiserver ready        2.6 s',
      '✔ kubelet        ready       0.50 s',
    ]);
  });

  test('[S4] a failing unit shows its error, its next try and the last line it wrote; the blocked ones the root', () => {
    const { etcd, apiserver } = portConflict();
    const exited = { ...etcd.detail, lastLogLines: ['panic: no space'] };
    Object.assign(etcd, { detail: exited });
    const model = modelOf(
      envelopes(
        [0, upStarted],
        [
          900,
          state(
            'etcd',
            'stopping',
            snapshot('etcd', 'failed', { since: moment(900), lastError: etcd, nextRetryAt: moment(5900) }),
          ),
        ],
        [
          900,
          state(
            'kube-apiserver',
            'waiting',
            snapshot('kube-apiserver', 'blocked', { since: moment(900), lastError: apiserver }),
          ),
        ],
      ),
    );
    expect(renderTree(model, { ...size, columns: 80, nowMs: 1900 })).toEqual([
      'k3s-lite  starting  1.9 s  0 of 3 ready, 1 inactive, 1 blocked, 1 failed',
      '✖ etcd           failed       1.0 s  again in 4.0 s: etcd exited with code 1: b…',
      '    panic: no space',
      '⊘ kube-apiserver blocked      1.0 s  by etcd: etcd exited with code 1: bind: ad…',
      '· kubelet        inactive',
    ]);
  });

  test('a starting unit shows its check, a stopping one the signal', () => {
    const model = modelOf(
      envelopes(
        [0, upStarted],
        [0, state('etcd', 'waiting', snapshot('etcd', 'starting', { pid: 3 }))],
        [
          90,
          {
            type: 'probe.attempt',
            unit: 'etcd',
            generation: 1,
            phase: 'ready',
            check: 'https /health',
            attempt: { at: 0, ms: 1, outcome: '503 no leader' },
            count: 2,
          },
        ],
      ),
    );
    expect(renderTree(model, { ...size, nowMs: 100 })[1]).toBe(
      '● etcd           starting    0.10 s  https /health: 503 no leader (2 attempts)',
    );
    for (const envelope of envelopes(
      [200, { type: 'down.started', reason: 'SIGINT' }],
      [200, state('etcd', 'starting', snapshot('etcd', 'stopping', { since: moment(200) }))],
      [200, { type: 'process.stopping', unit: 'etcd', generation: 1, signal: 'SIGTERM', remaining: [3] }],
    )) {
      fold(model, envelope);
    }
    expect(renderTree(model, { ...size, nowMs: 300 }).slice(0, 2)).toEqual([
      'k3s-lite  stopping  0.10 s  2 of 3 stopped, 1 stopping',
      '● etcd           stopping    0.10 s  SIGTERM sent',
    ]);
  });

  describe('when there are more units than rows', () => {
    const many = (count: number, stateOf: (number: number) => UnitStateName) => {
      const names = Array.from({ length: count }, (_, at) => `unit-${String(at + 1).padStart(2, '0')}`);
      return modelOf(
        envelopes(
          [0, { type: 'up.started', units: names.map((name) => ({ name, about: '', kind: 'task' })), edges: [] }],
          ...names.map((name, at) => [0, state(name, 'inactive', snapshot(name, stateOf(at + 1)))] as const),
        ),
      );
    };

    test('finished ones collapse into one row, the earliest first', () => {
      const model = many(20, (number) => (number <= 15 ? 'done' : 'starting'));
      const lines = renderTree(model, { ...size, rows: 10, nowMs: 1000 });
      expect(lines).toHaveLength(10);
      expect(lines[1]).toBe('✔ 12 units ready');
      expect(lines[2]).toContain('unit-13');
      expect(lines.at(-1)).toContain('unit-20');
    });

    test('then the least urgent ones are counted; what fails is always seen', () => {
      const model = many(40, (number) =>
        number === 37 ? 'failed' : number <= 10 ? 'done' : number < 20 ? 'starting' : 'waiting',
      );
      const lines = renderTree(model, { ...size, rows: 8, nowMs: 1000 });
      expect(lines).toHaveLength(8);
      expect(lines.some((line) => line.includes('unit-37'))).toBe(true);
      expect(lines.at(-1)).toBe('… and 5 starting, 20 waiting');
    });

    test.each([1, 2, 3, 5])('never more than %i rows', (rows) => {
      const model = many(30, (number) => (number % 2 === 0 ? 'ready' : 'waiting'));
      expect(renderTree(model, { ...size, rows, nowMs: 0 }).length).toBeLessThanOrEqual(Math.max(rows, 3));
    });
  });

  test.each([10, 30, 60, 100])('no line is longer than %i columns', (columns) => {
    const { etcd } = portConflict();
    const model = modelOf([
      ...until(400),
      ...envelopes([500, state('etcd', 'ready', snapshot('etcd', 'backoff', { lastError: etcd }))]),
    ]);
    for (const line of renderTree(model, { ...size, columns, nowMs: 600 }))
      expect(line.length).toBeLessThanOrEqual(columns);
  });

  test('while components are built the tree shows their progress', () => {
    const model = modelOf(
      envelopes([
        0,
        { type: 'component.progress', component: 'etcd', step: 'compile', elapsedMs: 2000, estimateMs: 60_000 },
      ]),
    );
    expect(renderTree(model, { ...size, nowMs: 2000 })).toEqual([
      'k3s-lite  building  2.0 s',
      '  building etcd: compile (2.0 s of about 1 m 0 s)',
    ]);
  });
});
