import { describe, expect, test } from 'vitest';
import type { Envelope, Event } from '../../src/event/event.ts';
import { plainReporter } from '../../src/report/plain-lines.ts';
import { envelopes, goodStart, moment, portConflict, snapshot, state, upStarted } from './facts.ts';

function linesOf(all: readonly Envelope[], options: { colour?: boolean } = {}): string[] {
  let text = '';
  const reporter = plainReporter({ write: (part) => (text += part), ...options });
  for (const envelope of all) reporter.onEvent(envelope);
  return text.split('\n').slice(0, -1);
}

describe('plain lines', () => {
  test('[S8] a start: when each unit became ready, and how long it took by itself', () => {
    expect(linesOf(goodStart())).toEqual([
      '+0.00s starting 3 units',
      '+0.40s etcd ready (0.40 s)',
      '+3.00s kube-apiserver ready (2.6 s)',
      '+3.50s kubelet ready (0.50 s)',
      '+3.50s everything is ready (3.5 s)',
    ]);
  });

  test('[S8] a unit that waits says for what, since when, and with which last error', () => {
    const { etcd } = portConflict();
    const waiting = snapshot('kube-apiserver', 'waiting', {
      waitingFor: [
        { unit: 'etcd', kind: 'hard', state: 'backoff', since: moment(700), lastError: etcd },
        { unit: 'dns', kind: 'soft', state: 'starting', since: moment(200) },
      ],
    });
    const lines = linesOf(
      envelopes(
        [0, upStarted],
        [
          500,
          {
            type: 'probe.attempt',
            unit: 'dns',
            generation: 1,
            phase: 'ready',
            check: 'tcp :53',
            attempt: { at: 0, ms: 1, outcome: 'ECONNREFUSED' },
            count: 3,
          },
        ],
        [1000, { type: 'unit.waiting', unit: 'kube-apiserver', waitedMs: 1000, snapshot: waiting }],
      ),
    );
    expect(lines[1]).toBe(
      '+1.00s kube-apiserver waits for etcd (backoff for 0.30 s: etcd exited with code 1: bind: address already in use ' +
        '(2379 is held by pid 812 etcd)), dns (soft, starting for 0.80 s: tcp :53: ECONNREFUSED)',
    );
  });

  test('[S4] a failure is told with its chain, its output and a hint; the same one again in one line', () => {
    const { etcd, apiserver } = portConflict();
    const failed: Event = { type: 'unit.failed', unit: 'etcd', error: etcd };
    const lines = linesOf(
      envelopes(
        [0, upStarted],
        [100, state('etcd', 'starting', snapshot('etcd', 'backoff', { lastError: etcd, nextRetryAt: moment(300) }))],
        [900, state('etcd', 'stopping', snapshot('etcd', 'failed', { lastError: etcd, nextRetryAt: moment(30_900) }))],
        [900, failed],
        [901, state('kube-apiserver', 'waiting', snapshot('kube-apiserver', 'blocked', { lastError: apiserver }))],
        [31_000, failed],
      ),
    );
    const root = 'etcd exited with code 1: bind: address already in use (2379 is held by pid 812 etcd)';
    expect(lines).toEqual([
      '+0.00s starting 3 units',
      `+0.10s etcd is tried again in 0.20 s: ${root}`,
      `+0.90s etcd failed; it is tried again from time to time: ${root}`,
      '  last output of etcd:',
      '    {"level":"info","msg":"starting etcd"}',
      '    listen tcp 127.0.0.1:2379: bind: address already in use',
      '  hint: stop pid 812, or choose another port with --etcd-client-port',
      `+0.90s kube-apiserver blocked: cannot start kube-apiserver: blocked by etcd ← ${root}`,
      `+31.00s etcd still fails: ${root}`,
    ]);
  });

  test('everything that becomes ready once more is ready again', () => {
    const again = envelopes([3600, { type: 'up.lost', unit: 'etcd' }], [3700, { type: 'up.ready', elapsedMs: 3700 }]);
    expect(linesOf([...goodStart(), ...again]).slice(-3)).toEqual([
      '+3.50s everything is ready (3.5 s)',
      '+3.60s etcd is not ready any more',
      '+3.70s everything is ready again',
    ]);
  });

  test('degraded, unhealthy, ready again, lost', () => {
    const { etcd } = portConflict();
    const degraded = [{ unit: 'dns', kind: 'soft' as const, reason: 'not ready in time' }];
    const lines = linesOf(
      envelopes(
        [0, upStarted],
        [0, state('kubelet', 'inactive', snapshot('kubelet', 'waiting'))],
        [500, state('kubelet', 'starting', snapshot('kubelet', 'ready', { degraded }))],
        [900, state('kubelet', 'ready', snapshot('kubelet', 'unhealthy', { lastError: etcd }))],
        [900, { type: 'up.lost', unit: 'kubelet' }],
        [1500, state('kubelet', 'unhealthy', snapshot('kubelet', 'ready'))],
      ),
    );
    expect(lines.slice(1)).toEqual([
      '+0.50s kubelet ready (0.50 s), without dns (not ready in time)',
      '+0.90s kubelet unhealthy: etcd exited with code 1: bind: address already in use (2379 is held by pid 812 etcd)',
      '+0.90s kubelet is not ready any more',
      '+1.50s kubelet ready again',
    ]);
  });

  test('a stop: who stopped, who had to be killed, what is left', () => {
    const lines = linesOf(
      envelopes(
        [0, upStarted],
        [1000, { type: 'down.started', reason: 'SIGINT' }],
        [1000, { type: 'process.stopping', unit: 'etcd', generation: 1, signal: 'SIGTERM', remaining: [7] }],
        [11_000, { type: 'process.stopping', unit: 'etcd', generation: 1, signal: 'SIGKILL', remaining: [7, 8] }],
        [11_100, state('etcd', 'stopping', snapshot('etcd', 'stopped', { desired: 'down' }))],
        [11_100, { type: 'down.finished', elapsedMs: 10_100, leftovers: ['etcd: pid 8 is alive'] }],
      ),
    );
    expect(lines.slice(1)).toEqual([
      '+1.00s stopping: SIGINT',
      '+11.00s etcd: SIGKILL to 2 processes that did not end',
      '+11.10s etcd stopped',
      '+11.10s stopped, but 1 thing could not be cleared',
      '  etcd: pid 8 is alive',
    ]);
  });

  test('notices, leftovers of an earlier run and steps of a build', () => {
    const step = (name: string, elapsedMs: number): Event => ({
      type: 'component.progress',
      component: 'kubernetes',
      step: name,
      elapsedMs,
      estimateMs: 540_000,
    });
    const lines = linesOf(
      envelopes(
        [0, step('download', 0)],
        [900, step('compile', 900)],
        [5000, step('compile', 5000)],
        [6000, { type: 'leftover.found', unit: 'etcd', pids: [4, 5], reason: 'its unit has changed' }],
        [6000, { type: 'notice', level: 'warning', text: 'no cgroups here' }],
      ),
    );
    expect(lines).toEqual([
      '+0.00s building kubernetes: download (0 ms of about 9 m 0 s)',
      '+0.90s building kubernetes: compile (0.90 s of about 9 m 0 s)',
      '+6.00s etcd: ending 2 processes of an earlier run (pid 4, 5): its unit has changed',
      '+6.00s no cgroups here',
    ]);
  });

  test('what is adopted, with its pid and age, and tasks that stand', () => {
    const adopted = (unit: string, finished: boolean): Event => ({
      type: 'process.adopted',
      unit,
      generation: 2,
      pid: 7,
      startedWallMs: envelopes([0, adopt])[0]?.wallMs ?? 0,
      finished,
    });
    const adopt: Event = { type: 'notice', level: 'info', text: 'begin' };
    const lines = linesOf(envelopes([0, adopt], [2000, adopted('etcd', false)], [2000, adopted('cni', true)]));
    expect(lines.slice(1)).toEqual([
      '+2.00s etcd adopted: pid 7 runs since 2.0 s',
      '+2.00s cni stands: it was done 2.0 s ago',
    ]);
  });

  test('colour only when it is asked for', () => {
    const colours = (lines: string[]) => lines.join('\n').includes('\u001b[');
    expect(colours(linesOf(goodStart()))).toBe(false);
    expect(colours(linesOf(goodStart(), { colour: true }))).toBe(true);
  });
});
