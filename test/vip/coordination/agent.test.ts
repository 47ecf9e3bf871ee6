import { describe, expect, test } from 'vitest';
import { newAgent, stepAgent } from '../../../src/vip/coordination/agent.ts';
import type { AgentInput, AgentRules, AgentWork } from '../../../src/vip/coordination/agent-model.ts';
import { noAssignment } from '../../../src/vip/coordination/stored-assignment.ts';
import type { Grant } from '../../../src/vip/model.ts';

const rules: AgentRules = { node: 'b', lingerMs: 300, notes: {}, withdrawMs: 20 };
const address = '10.0.0.1';

/** Node `b`, driven by hand; its Lease is good for long. */
class Driven {
  state = newAgent;
  nowMs = 0;
  revision = 0;
  effects: ReturnType<typeof stepAgent>['effects'] = [];
  wakeAtMs: number | undefined;

  give(input: AgentInput): this {
    const step = stepAgent(this.state, input, rules, this.nowMs);
    this.state = step.state;
    this.effects = step.effects;
    this.wakeAtMs = step.wakeAtMs;
    return this;
  }

  shows(grant: Omit<Grant, 'address'>): this {
    this.revision += 1;
    const grants = new Map([[address, { address, ...grant }]]);
    return this.give({ type: 'seen', assignment: { ...noAssignment, revision: this.revision, grants } });
  }

  get done() {
    return this.effects.filter(({ type }) => type !== 'tell');
  }
}

function fresh(): Driven {
  const driven = new Driven().give({ type: 'allowed', tenure: 1, deadlineMs: 10_000 });
  return driven.give({ type: 'read', call: 1, assignment: noAssignment });
}

const heir = () => fresh().shows({ owner: 'a', state: 'granted', heir: 'b', generation: 4 });
const ready = () => heir().give({ type: 'prepared', outcomes: [{ address }] });
const take = (isFree: boolean) => ({ type: 'take', addresses: [address], deadlineMs: 10_000, isFree });

describe('[V10] an heir', () => {
  test('prepares, and says so when it is ready and not before', () => {
    const driven = heir();
    expect(driven.done).toEqual([{ type: 'prepare', addresses: [address] }]);
    driven.give({ type: 'prepared', outcomes: [{ address }] });
    expect(driven.done).toEqual([{ type: 'publish', notes: { prepared: `${address}=4` } }]);
  });

  test('only opens what its owner has let go; of what it gets otherwise the link is asked', () => {
    const handedOver = ready().shows({ owner: 'b', state: 'granted', generation: 5, isHandedOver: true });
    expect(handedOver.done).toContainEqual(take(true));
    expect(ready().shows({ owner: 'b', state: 'granted', generation: 5 }).done).toContainEqual(take(false));
    // It was handed over once: to a process that is no more.
    expect(fresh().shows({ owner: 'b', state: 'granted', generation: 5, isHandedOver: true }).done).toContainEqual(
      take(false),
    );
  });

  test('that is granted the address while it prepares takes it when it is ready', () => {
    const driven = heir().shows({ owner: 'b', state: 'granted', generation: 5, isHandedOver: true });
    expect(driven.done).toEqual([]);
    expect(driven.give({ type: 'prepared', outcomes: [{ address }] }).done).toContainEqual(take(true));
  });

  test('removes it when another one is the heir, and when its own Lease is lost', () => {
    const drop = { type: 'drop', addresses: [address] };
    expect(ready().shows({ owner: 'a', state: 'granted', heir: 'c', generation: 4 }).done).toContainEqual(drop);
    expect(ready().shows({ owner: 'a', state: 'granted', generation: 4 }).done).toContainEqual(drop);
    const lost = ready().give({ type: 'withdraw', tenure: 1 });
    expect(lost.done).toContainEqual(drop);
    expect(lost.give({ type: 'dropped', addresses: [address] }).done).toContainEqual({ type: 'verify' });
  });

  test('is ready too for what is revoked in its favour', () => {
    const driven = fresh().shows({ owner: 'a', state: 'revoking', next: 'b', generation: 4 });
    expect(driven.done).toEqual([{ type: 'prepare', addresses: [address] }]);
  });

  test('that cannot have it says so, named or not, until it tries again', () => {
    const refused = { kind: 'no-interface' } as const;
    const driven = heir().give({ type: 'prepared', outcomes: [{ address, refused }] });
    expect(driven.done).toEqual([{ type: 'publish', notes: { refused: `${address}=4` } }]);
    expect(driven.shows({ owner: 'a', state: 'granted', heir: 'c', generation: 4 }).done).toEqual([]);
    expect(driven.wakeAtMs).toBe(5000);
    driven.nowMs = 5000;
    expect(driven.give({ type: 'wake' }).done).toEqual([{ type: 'publish', notes: {} }]);
    driven.shows({ owner: 'a', state: 'granted', heir: 'b', generation: 4 });
    expect(driven.done).toEqual([{ type: 'prepare', addresses: [address] }]);
  });

  test('that cannot have it tries again by itself while it is named', () => {
    const refused = { kind: 'no-interface' } as const;
    const driven = heir().give({ type: 'prepared', outcomes: [{ address, refused }] });
    driven.nowMs = driven.wakeAtMs ?? 0;
    expect(driven.give({ type: 'wake' }).done).toEqual([
      { type: 'prepare', addresses: [address] },
      { type: 'publish', notes: {} },
    ]);
  });
});

test('an owner who could not take an address says so until he has taken it after all', () => {
  const refused = { kind: 'conflict', mac: '02:98:00:00:00:0c' } as const;
  const driven = fresh().shows({ owner: 'b', state: 'granted', generation: 4 });
  driven.give({ type: 'taken', outcomes: [{ address, refused }] });
  expect(driven.done).toEqual([{ type: 'publish', notes: { refused: `${address}=4` } }]);
  driven.nowMs = driven.wakeAtMs ?? 0;
  expect(driven.give({ type: 'wake' }).done).toEqual([take(false)]);
  driven.give({ type: 'taken', outcomes: [{ address }] });
  expect(driven.done).toEqual([{ type: 'publish', notes: {} }]);
});

test('what an owner could not take it refuses for a while also when another one has it by then', () => {
  const refused = { kind: 'no-interface' } as const;
  const driven = fresh().shows({ owner: 'b', state: 'granted', generation: 4 });
  driven.give({ type: 'taken', outcomes: [{ address, refused }] });
  driven.shows({ owner: 'c', state: 'granted', generation: 5 });
  expect(driven.state.published).toBe(JSON.stringify({ refused: `${address}=5` }));
  // Given it all the same, it tries, and has refused nothing of this yet.
  driven.shows({ owner: 'b', state: 'granted', generation: 6 });
  expect(driven.state.published).toBe(JSON.stringify({}));
});

test('a node that is about to end says so, and goes on answering', () => {
  const driven = fresh().shows({ owner: 'b', state: 'granted', generation: 4 });
  driven.give({ type: 'taken', outcomes: [{ address }] }).give({ type: 'leaving' });
  expect(driven.done).toEqual([{ type: 'publish', notes: { leaving: 'true' } }]);
  expect(driven.state.holdings.get(address)?.phase).toBe('open');
});

test('a node says that its API server is ready as long as it is', () => {
  const driven = fresh();
  driven.give({ type: 'api server', isReady: true });
  expect(driven.done).toEqual([{ type: 'publish', notes: { 'apiserver-ready': 'true' } }]);
  driven.give({ type: 'api server', isReady: false });
  expect(driven.done).toEqual([{ type: 'publish', notes: {} }]);
});

test('a node says how much traffic its addresses have', () => {
  const driven = fresh();
  driven.give({
    type: 'load',
    levels: new Map([
      ['10.0.0.9', 7],
      ['10.0.0.10', 0],
    ]),
  });
  expect(driven.done).toEqual([{ type: 'publish', notes: { load: '10.0.0.9=7 10.0.0.10=0' } }]);
  driven.give({ type: 'load', levels: new Map() });
  expect(driven.done).toEqual([{ type: 'publish', notes: {} }]);
});

test('it says so also without its Lease, which begins with that when it is got', () => {
  const driven = new Driven().give({ type: 'api server', isReady: true });
  const isReady = { type: 'publish', notes: { 'apiserver-ready': 'true' } };
  expect(driven.done).toEqual([isReady]);
  driven.give({ type: 'allowed', tenure: 1, deadlineMs: 10_000 });
  driven.give({ type: 'withdraw', tenure: 1 });
  driven.give({ type: 'api server', isReady: false });
  expect(driven.done).toEqual([{ type: 'publish', notes: {} }]);
  driven.give({ type: 'api server', isReady: true });
  expect(driven.done).toEqual([isReady]);
});

describe('[V10] when the actuator fails, nobody knows what the kernel has of an address:', () => {
  const granted = (generation: number) => ({ owner: 'b', state: 'granted', generation }) as const;
  const open = () =>
    fresh()
      .shows(granted(4))
      .give({ type: 'taken', outcomes: [{ address }] });
  const failures: readonly (readonly [string, AgentWork, () => Driven])[] = [
    ['taken', 'take', () => fresh().shows(granted(5))],
    ['taken as its heir', 'take', () => ready().shows({ ...granted(5), isHandedOver: true })],
    ['prepared, and granted meanwhile', 'prepare', () => heir().shows(granted(5))],
    [
      'silenced, and granted anew meanwhile',
      'silence',
      () =>
        open()
          .shows({ ...granted(4), state: 'revoking', next: 'c' })
          .shows(granted(5)),
    ],
  ];
  const told = ({ effects }: Driven) => effects.flatMap((effect) => (effect.type === 'tell' ? effect.event.type : []));
  const fail = (driven: Driven, at: AgentWork): Driven =>
    driven.give({ type: 'failed', at, addresses: [address], reason: 'nft says no' });
  const silence = { type: 'silence', addresses: [address] };

  test.each(failures)('what was being %s is silenced, and then taken anew', (_what, at, before) => {
    const driven = fail(before(), at);
    expect(driven.state.holdings.get(address)?.phase).toBe('unsure');
    expect(driven.done).toEqual([]);
    driven.nowMs = driven.wakeAtMs ?? 0;
    expect(driven.give({ type: 'wake' }).done).toEqual([silence]);
    expect(told(driven)).toEqual([]);
    expect(driven.give({ type: 'silenced', addresses: [address] }).done).toEqual([take(false)]);
    driven.give({ type: 'taken', outcomes: [{ address }] });
    expect(driven.state.holdings.get(address)).toMatchObject({ phase: 'open', generation: 5 });
  });

  test('what cannot be taken three times in a row is refused, and tried again after a while', () => {
    const driven = fresh().shows(granted(5));
    for (let tries = 1; tries <= 3; tries += 1) {
      fail(driven, 'take');
      driven.nowMs += 200;
      expect(driven.give({ type: 'wake' }).done).toContainEqual(silence);
      if (tries < 3) expect(driven.give({ type: 'silenced', addresses: [address] }).done).toEqual([take(false)]);
    }
    // It is said before it is known to be silent: another node is made ready for it, and granted nothing yet.
    expect(driven.state.published).toBe(JSON.stringify({ refused: `${address}=5` }));
    expect(driven.give({ type: 'silenced', addresses: [address] }).done).toEqual([]);
    // Nobody else was given it.
    driven.nowMs = driven.wakeAtMs ?? 0;
    expect(driven.nowMs).toBeGreaterThan(4000);
    expect(driven.give({ type: 'wake' }).done).toEqual([take(false)]);
    // One failure more, and it is refused again at once.
    driven.give({ type: 'allowed', tenure: 1, deadlineMs: 20_000 });
    fail(driven, 'take');
    expect(told(driven)).toContain('vip.refused');
    driven.nowMs += 200;
    driven.give({ type: 'wake' }).give({ type: 'silenced', addresses: [address] });
    driven.nowMs = driven.wakeAtMs ?? 0;
    driven.give({ type: 'wake' }).give({ type: 'taken', outcomes: [{ address }] });
    expect(driven.state.holdings.get(address)).toMatchObject({ phase: 'open' });
    expect(driven.state.failures.size + driven.state.refusals.size).toBe(0);
  });

  test('what is broken off because the Lease is lost does not count', () => {
    const driven = fresh().shows(granted(5)).give({ type: 'withdraw', tenure: 1 });
    for (let tries = 1; tries <= 3; tries += 1) fail(driven, 'take');
    expect(driven.state.failures.size + driven.state.refusals.size).toBe(0);
  });

  test('what is revoked is not let go before it is silent for certain', () => {
    const driven = fail(fresh().shows(granted(5)), 'take').shows({ ...granted(5), state: 'revoking', next: 'c' });
    expect(driven.done).toEqual([]);
    driven.nowMs = driven.wakeAtMs ?? 0;
    expect(driven.give({ type: 'wake' }).done).toEqual([silence]);
    driven.give({ type: 'silenced', addresses: [address] });
    expect(driven.done).toEqual([{ type: 'publish', notes: { released: `${address}=5` } }]);
  });

  test('an heir prepares anew when it is silenced and removed', () => {
    const driven = fail(heir(), 'prepare');
    driven.nowMs = driven.wakeAtMs ?? 0;
    expect(driven.give({ type: 'wake' }).done).toEqual([silence]);
    driven.give({ type: 'silenced', addresses: [address] });
    driven.nowMs = driven.wakeAtMs ?? 0;
    expect(driven.give({ type: 'wake' }).done).toEqual([{ type: 'drop', addresses: [address] }]);
    driven.give({ type: 'dropped', addresses: [address] });
    expect(driven.done).toEqual([{ type: 'prepare', addresses: [address] }]);
  });

  test('what is there although all was dropped is silenced and dropped before the Lease is given back', () => {
    const driven = fresh()
      .give({ type: 'withdraw', tenure: 1 })
      .give({ type: 'verified', left: [address] });
    expect(driven.done).toEqual([silence]);
    driven.give({ type: 'silenced', addresses: [address] });
    expect(driven.done).toEqual([{ type: 'drop', addresses: [address] }]);
    expect(driven.give({ type: 'dropped', addresses: [address] }).done).toEqual([{ type: 'verify' }]);
    expect(driven.give({ type: 'verified', left: [] }).done).toEqual([{ type: 'withdrawn', tenure: 1 }]);
  });
});
