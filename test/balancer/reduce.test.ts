import { describe, expect, test } from 'vitest';
import { Routing } from './routing-kit.ts';

const [a, b, c] = ['10.0.0.1:6443', '10.0.0.2:6443', '10.0.0.3:6443'] as const;

/** `a` active with connections, `b` well and idle. */
function settled(): Routing {
  return new Routing().update(a, b).well(a).dialled(a).dialled(a).well(b);
}

describe('one active server under sticky', () => {
  test('the one with a connection is, and the others wait', () => {
    expect(settled().text).toBe(`${a}=active(2) ${b}=preferred`);
    expect(settled().order()).toEqual([a, b]);
  });

  test('when it fails its connections are closed at once, and the next dial makes another one active', () => {
    const routing = settled().checked(a, 'failed');
    expect(routing.text).toBe(`${a}=failed(2) ${b}=preferred`);
    expect(routing.closings).toEqual([`${a} within 0`]);
    expect(routing.order()).toEqual([b, a]);
    expect(routing.closed(a).closed(a).dialled(b).text).toBe(`${a}=failed ${b}=active(1)`);
  });

  test('one that comes back does not take over, it is the next in line', () => {
    const routing = settled().checked(a, 'failed').closed(a).closed(a).dialled(b).well(a);
    expect(routing.text).toBe(`${a}=preferred ${b}=active(1)`);
    expect(routing.order()).toEqual([b, a]);
  });

  test('of two that claim it the one with more connections wins, and the other one’s are closed', () => {
    const routing = new Routing().update(a, b).dialled(a).dialled(a).dialled(b).checked(a);
    expect(routing.text).toBe(`${a}=active(2) ${b}=recovering(1)`);
    expect(routing.closings).toEqual([`${b} within 1000`]);
    routing.checked(b);
    expect(routing.text).toBe(`${a}=active(2) ${b}=preferred(1)`);
  });

  test('a slow one is not taken down by a single lost packet: both keep what they have until it is known', () => {
    const routing = settled().dialled(a, 'slow').dialled(b);
    expect(routing.text).toBe(`${a}=active(2) ${b}=preferred(1)`);
    expect(routing.order()).toEqual([b, a]);
    expect(settled().dialled(a, 'slow').effects).toContainEqual({ type: 'recheck', server: routing.ref(a) });
    expect(routing.dialled(a, 'late').order()).toEqual([a, b]);
  });

  test('one that breaks a connection is not dialled again before it was asked: it may be dying', () => {
    const routing = settled().closed(a, 'ECONNRESET');
    expect(routing.text).toBe(`${a}=active(1) ${b}=preferred`);
    expect(routing.effects).toContainEqual({ type: 'recheck', server: routing.ref(a) });
    expect(routing.order()).toEqual([b, a]);
    expect(routing.checked(a).order()).toEqual([a, b]);
  });

  test('a slow one that turns out to be gone fails over', () => {
    const routing = settled().dialled(a, 'slow').dialled(b).dialled(a, 'failed');
    expect(routing.text).toBe(`${a}=failed(2) ${b}=preferred(1)`);
    expect(routing.closings).toEqual([`${a} within 0`]);
    expect(routing.dialled(b).text).toBe(`${a}=failed(2) ${b}=active(2)`);
  });
});

test('a dial that was begun before a server came back, and fails after it, says nothing of it', () => {
  const routing = settled().checked(a, 'failed');
  routing.nowMs = 1000;
  routing.well(a);
  routing.nowMs = 1500;
  expect(routing.dialled(a, 'failed', 1400).server(a)).toMatchObject({
    state: 'active',
    lastError: { source: 'dial', atMs: 1500 },
  });
  expect(routing.dialled(a, 'failed', 1).server(a).state).toBe('failed');
});

describe('fail-open', () => {
  test('when all look down every one is still tried, the one with connections first', () => {
    const routing = settled().checked(b, 'failed').checked(a, 'failed');
    expect(routing.order()).toEqual([a, b]);
  });

  test('a failed check does not close connections when no other server is better', () => {
    const routing = settled().checked(b, 'failed').checked(a, 'failed');
    expect(routing.text).toBe(`${a}=failed(2) ${b}=failed`);
    expect(routing.closings).toEqual([]);
    expect(routing.events).toContainEqual({ type: 'lb.spared', server: a, count: 2 });
  });

  test('what was spared is closed as soon as another one is well', () => {
    const routing = settled().checked(b, 'failed').checked(a, 'failed').checked(b);
    expect(routing.closings).toEqual([]);
    expect(routing.checked(b).closings).toEqual([`${a} within 1000`]);
  });

  test('of several that fell silent at once, the first that answers again has the connections of the others closed', () => {
    const routing = settled();
    routing.nowMs = 2000;
    routing.checked(b, 'silent').checked(a, 'silent');
    expect(routing.text).toBe(`${a}=failed(2) ${b}=failed`);
    expect(routing.closings).toEqual([]);
    routing.nowMs = 2500;
    expect(routing.checked(b).closings).toEqual([`${a} within 0`]);
  });

  test('of several that fell silent at once, one that does not even greet is left at once: the others may only wait', () => {
    const routing = settled();
    routing.nowMs = 2000;
    routing.input({ type: 'silent', server: routing.ref(a) }).checked(b, 'silent');
    // While its own check is still under way.
    expect(routing.order()).toEqual([b, a]);
    expect(routing.checked(a, 'silent').closings).toEqual([`${a} within 0`]);
    expect(routing.order()).toEqual([b, a]);
    routing.nowMs = 2100;
    expect(routing.checked(a).order()).toEqual([a, b]);
  });

  test('what a check has said of one is not forgotten for a dial that fails: it still comes before one that does not greet', () => {
    const routing = settled();
    routing.nowMs = 2000;
    routing
      .input({ type: 'silent', server: routing.ref(a) })
      .checked(a, 'silent')
      .checked(b, 'silent');
    expect(routing.dialled(b, 'failed').order()).toEqual([b, a]);
    expect(routing.dialled(b).server(b).state).toBe('failed');
  });

  test('without checks a broken connection raises no suspicion that nothing would ever take back', () => {
    const routing = new Routing({ policy: 'weighted-random' }).update(a, b);
    routing.dialled(a).dialled(a).dialled(b).closed(a, 'ECONNRESET');
    expect(routing.server(a).isSuspect).toBe(false);
  });

  test('one that does not greet is kept when the others said no', () => {
    const routing = settled().checked(b, 'failed');
    routing.nowMs = 2000;
    routing.input({ type: 'silent', server: routing.ref(a) });
    expect(routing.order()).toEqual([a, b]);
    expect(routing.checked(a, 'silent').closings).toEqual([]);
  });

  test('the one with the connections may be it', () => {
    const routing = settled();
    routing.nowMs = 2000;
    routing.checked(b, 'silent').checked(a, 'silent').checked(a).checked(a).well(b);
    expect(routing.text).toBe(`${a}=active(2) ${b}=preferred`);
    expect(routing.closings).toEqual([]);
  });
});

describe('the default server', () => {
  test('carries connections while nothing of the list is there, and is left as soon as something is', () => {
    const routing = new Routing().input({ type: 'default', address: a }).update(b).dialled(b, 'failed').dialled(a);
    expect(routing.text).toBe(`${a}=standby(1) ${b}=failed`);
    expect(routing.order()).toEqual([a, b]);
    expect(routing.well(b).text).toBe(`${a}=standby(1) ${b}=preferred`);
    expect(routing.closings).toEqual([`${a} within 1000`]);
    expect(routing.order()).toEqual([b, a]);
  });

  test('another default removes the old one, unless the list names it', () => {
    const unlisted = new Routing().input({ type: 'default', address: a }).input({ type: 'default', address: b });
    expect(unlisted.text).toBe(`${b}=standby`);
    const listed = new Routing()
      .input({ type: 'default', address: a })
      .update(a)
      .input({ type: 'default', address: b });
    expect(listed.text).toBe(`${a}=unchecked ${b}=standby`);
  });

  test('the balancer’s own address is nobody’s default', () => {
    const routing = new Routing({ ownAddresses: ['127.0.0.1:6444'] }).input({
      type: 'default',
      address: 'localhost:6444',
    });
    expect(routing.text).toBe('');
    expect(routing.events).toEqual([
      { type: 'lb.default', server: undefined, refused: 'localhost:6444 is this balancer itself' },
    ]);
  });
});

describe('L7: updates of the list', () => {
  test('an empty one changes nothing', () => {
    const routing = settled();
    const before = routing.state;
    expect(routing.update().state).toBe(before);
    expect(routing.events).toEqual([{ type: 'lb.list-refused', reason: 'it is empty', refused: [] }]);
  });

  test('one with nothing but mistakes changes nothing, and each is told', () => {
    const routing = settled();
    const before = routing.state;
    expect(routing.update('10.0.0.9', '10.0.0.8:0').state).toBe(before);
    expect(routing.events).toMatchObject([
      { type: 'lb.list-refused', refused: [expect.any(String), expect.any(String)] },
    ]);
  });

  test('of one with a mistake the rest is taken', () => {
    const routing = settled().update(a, b, 'nonsense', c);
    expect(routing.state.servers).toHaveLength(3);
    expect(routing.events).toContainEqual(expect.objectContaining({ type: 'lb.list', added: [c], removed: [] }));
  });

  test('a removed server is never dialled again, and its connections are given time to end', () => {
    const routing = settled().update(b);
    expect(routing.text).toBe(`${a}=invalid(2) ${b}=preferred`);
    expect(routing.closings).toEqual([`${a} within 5000`]);
    expect(routing.effects).toContainEqual({ type: 'leave', server: routing.ref(a) });
    expect(routing.order()).toEqual([b]);
    expect(routing.closed(a).closed(a).text).toBe(`${b}=preferred`);
  });

  test('a connection that was being made to a server when it was removed is discarded and not counted', () => {
    const routing = settled();
    const ref = routing.ref(b);
    routing.update(a).input({ type: 'dial', server: ref, outcome: 'ok', tookMs: 1 });
    expect(routing.effects).toEqual([{ type: 'discard', server: ref }]);
    expect(routing.text).toBe(`${a}=active(2)`);
  });

  test('an answer about an earlier server of the same address is not believed', () => {
    const routing = settled();
    const earlier = routing.ref(b);
    routing.update(a).update(a, b);
    routing.input({ type: 'check', server: earlier, outcome: 'ok', tookMs: 1 });
    expect(routing.text).toBe(`${a}=active(2) ${b}=unchecked`);
    expect(routing.input({ type: 'dial', server: earlier, outcome: 'ok', tookMs: 1 }).effects).toEqual([
      { type: 'discard', server: earlier },
    ]);
  });

  test('one that comes back before its connections have ended goes on with them', () => {
    const routing = settled().update(b).update(a, b);
    expect(routing.text).toBe(`${a}=unchecked(2) ${b}=preferred`);
    expect(routing.effects).toContainEqual({ type: 'keep', server: routing.ref(a) });
    expect(routing.closed(a).text).toBe(`${a}=unchecked(1) ${b}=preferred`);
  });

  test('a list of strangers alone does not evict what works: it is kept until one of them answers', () => {
    const routing = settled().update(c);
    expect(routing.text).toBe(`${a}=active(2) ${b}=preferred ${c}=unchecked`);
    expect(routing.events).toContainEqual(expect.objectContaining({ type: 'lb.list', kept: [a, b], removed: [] }));
    expect(routing.closings).toEqual([]);
    expect(routing.order(), 'the list’s own are tried first').toEqual([c, a, b]);
    routing.dialled(c, 'failed');
    expect(routing.order()).toEqual([a, b, c]);
    routing.checked(c);
    expect(routing.text).toBe(`${a}=invalid(2) ${c}=recovering`);
    expect(routing.order()).toEqual([c]);
  });
});

describe('what an operator does', () => {
  test('a drained server gets nothing new while another one is left, and its connections time to end', () => {
    const routing = settled().input({ type: 'drain', address: a, graceMs: 9000 });
    expect(routing.closings).toEqual([`${a} within 9000`]);
    expect(routing.order()).toEqual([b, a]);
    expect(routing.dialled(b).text).toBe(`${a}=preferred(2) ${b}=active(1)`);
    expect(routing.input({ type: 'undrain', address: a }).effects).toContainEqual({
      type: 'keep',
      server: routing.ref(a),
    });
  });

  test('the time that an operator gave is not cut short by another one’s becoming active', () => {
    const routing = settled().input({ type: 'drain', address: a, graceMs: 9000 });
    expect(routing.effects).toContainEqual({ type: 'abandon', server: routing.ref(a) });
    expect(routing.dialled(b).closings).toEqual([]);
    expect(routing.server(a).closingByMs).toBe(9000);
  });

  test('what a drained server takes while nothing else is left, it gives back later', () => {
    const routing = settled().checked(b, 'failed').input({ type: 'drain', address: a }).closed(a).closed(a).dialled(a);
    expect(routing.closings).toEqual([]);
    expect(routing.well(b).closings).toEqual([`${a} within 30000`]);
  });

  test('a pinned server is tried first whatever it is, and takes over', () => {
    const routing = settled().input({ type: 'pin', address: b });
    expect(routing.closings).toEqual([`${a} within 1000`]);
    expect(routing.order()).toEqual([b, a]);
    expect(routing.dialled(b).text).toBe(`${a}=preferred(2) ${b}=active(1)`);
    expect(routing.checked(b, 'failed').order()).toEqual([b, a]);
    expect(routing.input({ type: 'unpin' }).order()).toEqual([a, b]);
  });

  test('a pin ends with its server', () => {
    const routing = settled().input({ type: 'pin', address: b }).update(a, c);
    expect(routing.state.pinned).toBeUndefined();
  });
});

test('a server that accepts and then says nothing is asked at once; one that carries nothing is what it was', () => {
  const routing = settled();
  const [before, order] = [routing.text, routing.order()];
  routing.input({ type: 'silent', server: routing.ref(b) });
  expect(routing.effects).toEqual([{ type: 'recheck', server: routing.ref(b) }]);
  expect([routing.text, routing.order()]).toEqual([before, order]);
});

describe('broken connections', () => {
  test('some in a row are as good as a failed check, and each asks for one', () => {
    const routing = settled().dialled(a).dialled(a);
    routing.closed(a, 'ECONNRESET').closed(a, 'ECONNRESET');
    expect(routing.text).toBe(`${a}=active(2) ${b}=preferred`);
    expect(routing.effects).toContainEqual({ type: 'recheck', server: routing.ref(a) });
    routing.closed(a, 'ECONNRESET');
    expect(routing.text).toBe(`${a}=failed(1) ${b}=preferred`);
    expect(routing.server(a).lastError).toMatchObject({ source: 'connection', reason: 'ECONNRESET' });
  });

  test('one that ends well between them begins the count anew', () => {
    const routing = settled().dialled(a).dialled(a).dialled(a);
    routing.closed(a, 'ECONNRESET').closed(a, 'ECONNRESET').closed(a).closed(a, 'ECONNRESET').closed(a, 'ECONNRESET');
    expect(routing.text).toBe(`${a}=active ${b}=preferred`);
  });
});

describe('[L2] when every server is silent at once, as while etcd elects,', () => {
  const silent = (routing: Routing, address: string) =>
    routing.input({
      type: 'check',
      server: routing.ref(address),
      outcome: 'failed',
      reason: 'no answer',
      silentForMs: 1000,
    });
  /** Both well, a with two connections; their last answers are from 0 and `laterMs`. */
  const both = (laterMs: number): Routing => {
    const routing = new Routing().update(a, b).well(a);
    routing.dialled(a).dialled(a);
    routing.nowMs = laterMs;
    return routing.well(b);
  };

  test('connections have a grace: the other one would not answer sooner', () => {
    const routing = both(400);
    routing.nowMs = 1500;
    silent(routing, a);
    expect(routing.closings).toEqual([`${a} within 1000`]);
    expect(routing.effects).toContainEqual({ type: 'recheck', server: routing.ref(b) });
    // It does answer after all: nobody waits for the first one any longer.
    routing.checked(b);
    expect(routing.closings).toEqual([`${a} within 0`]);
  });

  test('one that has answered since the other fell silent takes over at once', () => {
    const routing = both(900);
    routing.nowMs = 1500;
    expect(silent(routing, a).closings).toEqual([`${a} within 0`]);
  });

  test('one that was reached meanwhile may answer what it was asked, also when another one is first', () => {
    const routing = both(400);
    routing.nowMs = 1000;
    routing.dialled(a);
    routing.nowMs = 1500;
    expect(silent(routing, a).closings).toEqual([]);
    expect(routing.effects).toContainEqual({ type: 'recheck', server: routing.ref(b) });
    // Not known to be silent yet, it takes the new ones, and is no better for that.
    expect(routing.dialled(b).closings).toEqual([]);
    routing.nowMs = 2700;
    expect(silent(routing, b).closings).toEqual([]);
    routing.nowMs = 2900;
    expect(routing.checked(b).closings).toEqual([`${a} within 600`]);
    expect(routing.effects).toContainEqual({ type: 'recheck', server: routing.ref(a) });
  });

  test('however many checks have found it silent since', () => {
    const routing = both(400);
    routing.nowMs = 1000;
    routing.dialled(a);
    for (const atMs of [1500, 3500, 5500]) {
      routing.nowMs = atMs;
      expect(silent(routing, a).closings, String(atMs)).toEqual([]);
    }
    routing.nowMs = 5600;
    silent(routing, b);
    routing.nowMs = 5700;
    expect(routing.checked(b).closings).toEqual([`${a} within 600`]);
  });

  test('and alone it is given up within that time', () => {
    const routing = both(900);
    routing.dialled(a);
    routing.nowMs = 1500;
    expect(silent(routing, a).closings).toEqual([`${a} within 600`]);
  });

  test('but one that does not greet may not', () => {
    const routing = both(400);
    routing.nowMs = 1000;
    routing.dialled(a).input({ type: 'silent', server: routing.ref(a) });
    routing.nowMs = 1500;
    expect(silent(routing, a).closings).toEqual([`${a} within 0`]);
  });

  test('the one that answered last is tried first, and that the kernel accepts for a frozen one changes nothing', () => {
    const routing = both(400);
    routing.nowMs = 1500;
    silent(silent(routing, b), a);
    expect(routing.order()).toEqual([b, a]);
    routing.dialled(a).dialled(a, 'late');
    expect(routing.server(a).state).toBe('failed');
    expect(routing.order()).toEqual([b, a]);
  });
});

test('[L3] new connections go past an active server that has fallen silent, until a check has decided', () => {
  const routing = settled();
  routing.input({ type: 'silent', server: routing.ref(a) });
  expect(routing.effects).toContainEqual({ type: 'recheck', server: routing.ref(a) });
  expect(routing.order()).toEqual([b, a]);
  // Both keep what they have while that is not known.
  expect(routing.dialled(b).text).toBe(`${a}=active(2) ${b}=preferred(1)`);
  expect(routing.closings).toEqual([]);
  expect(routing.checked(a).order()).toEqual([a, b]);
});
