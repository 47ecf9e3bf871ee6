/**
 * Heartbeats between machines as an observation beside the checks:
 *
 *   heard, check ok ──► in routing ──heartbeat lost──► out, its connections closed
 *                           ▲                             │ heard again: asked at once
 *                           └────────── check ok ─────────┘
 */
import { describe, expect, test } from 'vitest';
import { candidates } from '../../src/balancer/candidates.ts';
import { Routing } from './routing-kit.ts';

const [a, b, c] = ['10.0.0.1:6443', '10.0.0.2:6443', '10.0.0.3:6443'] as const;
const [hostA, hostB, hostC] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'] as const;

/** `a` active with connections, `b` well and idle; both heard. */
function settled(): Routing {
  return new Routing().update(a, b).well(a).dialled(a).dialled(a).well(b).heartbeats([]);
}

describe('[H9] a server whose machine falls silent', () => {
  test('is out of routing at once, and its connections are closed', () => {
    const routing = settled().heartbeats([hostA]);
    expect(routing.text).toBe(`${a}=failed(2) ${b}=preferred`);
    expect(routing.closings).toEqual([`${a} within 0`]);
    expect(routing.order()).toEqual([b, a]);
    expect(routing.events).toContainEqual({ type: 'lb.closing', server: a, reason: 'silent', count: 2, withinMs: 0 });
    expect(routing.closed(a).closed(a).dialled(b).text).toBe(`${a}=failed ${b}=active(1)`);
  });

  test('is asked at once when it is heard again, and only its check takes it back', () => {
    const routing = settled().heartbeats([hostA]).closed(a).closed(a).dialled(b);
    expect(routing.checked(a).dialled(a).closed(a).text).toBe(`${a}=failed ${b}=active(1)`);
    routing.heartbeats([]);
    expect(routing.effects).toContainEqual({ type: 'recheck', server: routing.ref(a) });
    expect(routing.server(a).state).toBe('failed');
    expect(routing.well(a).text).toBe(`${a}=preferred ${b}=active(1)`);
  });

  test('that a check has failed too is not lifted by a dial when it is heard again', () => {
    const routing = settled().checked(a, 'silent').heartbeats([hostA]).heartbeats([]);
    expect(routing.dialled(a).server(a).state).toBe('failed');
    expect(routing.checked(a).server(a).state).toBe('recovering');
  });

  test('without a check, is lifted by a dial when it is heard again', () => {
    const routing = settled().heartbeats([hostA]).dialled(a);
    expect(routing.server(a).state).toBe('failed');
    expect(routing.heartbeats([]).dialled(a).server(a).state).toBe('recovering');
  });

  test('keeps its connections while no other server is better, until one shows itself', () => {
    const routing = settled().checked(b, 'failed').heartbeats([hostA]);
    expect(routing.closings).toEqual([]);
    expect(routing.events).toContainEqual({ type: 'lb.spared', server: a, count: 2 });
    routing.checked(b);
    expect(routing.closings).toEqual([]);
    expect(routing.checked(b).closings).toContainEqual(`${a} within 0`);
  });

  test('and is heard again meanwhile, goes on with them', () => {
    const routing = settled().checked(b, 'failed').heartbeats([hostA]).heartbeats([]).checked(a);
    expect(routing.checked(a).text).toBe(`${a}=active(2) ${b}=failed`);
    expect(routing.well(b).closings).toEqual([]);
  });

  test('is told from those that only wait, as all do while etcd elects: its connections do not wait with them', () => {
    // All are asked in vain at the same time, so no check tells which one is gone.
    const routing = settled().checked(b, 'silent').checked(a, 'silent');
    expect(routing.closings).toEqual([]);
    expect(routing.heartbeats([hostA]).closings).toEqual([`${a} within 0`]);
    // Whoever tries again comes to the one that is there.
    expect(routing.order()).toEqual([b, a]);
  });

  test('is asked after those that failed, unless its checks still go well', () => {
    const routing = settled().update(a, b, c).checked(c).checked(c, 'failed').checked(b, 'failed');
    routing.nowMs = 1000;
    routing.heartbeats([hostA]);
    expect(routing.order().at(-1)).toBe(a);
    expect(routing.input({ type: 'unpin' }).order().at(-1)).toBe(a);
    const why = candidates(routing.state, 3000, () => 0.5)
      .at(-1)
      ?.why();
    expect(why).toContain('nothing is heard of its machine for 2');
    routing.nowMs = 1500;
    expect(routing.checked(a).order()[0]).toBe(a);
  });

  test('enters the list as one that failed', () => {
    const routing = settled().heartbeats([hostC]).update(a, b, c);
    expect(routing.text).toBe(`${a}=active(2) ${b}=preferred ${c}=failed`);
    expect(routing.checked(c).server(c).state).toBe('failed');
    expect(routing.heartbeats([]).checked(c).server(c).state).toBe('recovering');
  });

  test('when all look down, every one is still tried', () => {
    const routing = settled().heartbeats([hostA, hostB]);
    expect(routing.order()).toHaveLength(2);
    expect(routing.closings).toEqual([]);
  });

  test('a machine that nobody keeps heartbeats with is judged by checks alone', () => {
    const routing = new Routing().update(a, b).well(a).dialled(a).well(b).heartbeats([]);
    expect(routing.text).toBe(`${a}=active(1) ${b}=preferred`);
    expect(routing.heartbeats([]).effects).toEqual([]);
  });
});
