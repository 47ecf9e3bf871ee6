import { expect, test } from 'vitest';
import { newCoordinator, stepCoordinator } from '../../../src/vip/coordination/coordinator.ts';
import { apiServerVips, refusedNames, wantedAddresses } from '../../../src/vip/coordination/api-server-vip.ts';
import type {
  CoordinatorInput,
  CoordinatorRules,
  CoordinatorState,
  Wanted,
} from '../../../src/vip/coordination/coordinator-model.ts';
import { planNodes, presentInput } from '../../../src/vip/coordination/next-assignment.ts';
import { noAssignment, notes } from '../../../src/vip/coordination/stored-assignment.ts';
import type { NodeState } from '../../../src/vip/model.ts';
import { explainAddress } from '../../../src/vip/plan/explain-address.ts';
import { plan } from '../../../src/vip/plan/plan.ts';

const vip = '192.0.2.10';
const leaseDurationMs = 1000;
const rules: CoordinatorRules = { node: 'a', plan, graceMs: 20, leaseDurationMs, standbys: 2, flapHalfLifeMs: 1 };
const policy = { mayRebalance: true, startAbove: 1, stopBelow: 1, restMs: 0, movesAtOnce: 9, movesPerHour: 99 };

type Says = Readonly<Record<string, string>>;
const ready: Says = { [notes.apiServerVip]: vip, [notes.apiServerReady]: 'true' };
const refuses: Says = { ...ready, [notes.refused]: `${vip}=4` };
const unready: Says = { [notes.apiServerVip]: vip };

interface World {
  /** What each node's Lease says; all were seen at 0. */
  readonly says: Readonly<Record<string, Says>>;
  readonly owner?: string;
  /** By the Node objects. */
  readonly states?: Readonly<Record<string, NodeState>>;
  readonly draining?: readonly string[];
  readonly pins?: Readonly<Record<string, string>>;
}

function stateOf({
  says,
  owner,
  states = {},
  draining = [],
  pins = {},
}: World): CoordinatorState & { readonly wanted: Wanted } {
  const leases = Object.entries(says).map(([node, said]) => {
    const record = {
      version: '1',
      uid: node,
      holder: `${node}-1`,
      durationMs: 1000,
      transitions: 0,
      nonce: '1',
      notes: said,
    };
    return [node, { record, changedAtMs: 0 }] as const;
  });
  const grants =
    owner === undefined ? [] : [[vip, { address: vip, owner, state: 'granted', generation: 4 } as const] as const];
  return {
    ...newCoordinator,
    leases: new Map(leases),
    stored: { version: 'v1', assignment: { ...noAssignment, grants: new Map(grants) } },
    wanted: {
      addresses: [],
      pins,
      nodes: new Map(
        Object.entries(states).map(([node, state]) => [node, { state, isDraining: draining.includes(node) }]),
      ),
      policy,
    },
  };
}

/** "b: ineligible" for each move that is planned of it, or who keeps it. */
function planned(world: World): string {
  const input = presentInput(stateOf(world), rules, 10);
  if (input === undefined) throw new Error('nothing to be planned');
  const { moves, unassigned, owners } = plan(input);
  const [move] = moves;
  if (unassigned.length > 0) return 'nobody';
  return move === undefined ? `stays on ${String(owners.get(vip))}` : `${move.to}: ${move.reason}`;
}

test('it is wanted because a living node says so, for those whose API server is ready, whoever coordinates', () => {
  const state = stateOf({ says: { a: {}, b: ready, c: unready, d: ready } });
  expect(apiServerVips(state, leaseDurationMs, 10)).toEqual(new Map([[vip, new Set(['b', 'd'])]]));
  expect(planned({ says: { a: {}, b: ready, c: unready } })).toBe('b: new');
  // Their Leases are over: nobody who lives wants it.
  expect(apiServerVips(state, leaseDurationMs, 1000)).toEqual(new Map());
});

test.each<[string, Partial<Wanted>, 'in use' | 'unknown' | undefined]>([
  ['counts where servers write nothing down', {}, undefined],
  ['counts if a server was given it', { apiServerVips: new Set(['192.0.2.99', vip]) }, undefined],
  ['is refused if none was', { apiServerVips: new Set(['192.0.2.99']) }, 'unknown'],
  ['is refused if none was given any', { apiServerVips: new Set() }, 'unknown'],
  ['is refused if a Service has it', { addresses: [{ address: vip, weight: 3 }] }, 'in use'],
  [
    'is refused if a Service has it, and no server',
    { addresses: [{ address: vip, weight: 3 }], apiServerVips: new Set(['192.0.2.99']) },
    'unknown',
  ],
])('an address that a Lease names %s', (_what, change, why) => {
  const before = stateOf({ says: { a: ready } });
  const state = { ...before, wanted: { ...before.wanted, ...change } };
  expect(refusedNames(state, leaseDurationMs, 10)).toEqual(why === undefined ? [] : [{ node: 'a', address: vip, why }]);
  const all = wantedAddresses(state, planNodes(state, rules, 10), leaseDurationMs, 10);
  // What a Service has stays as it is.
  expect(all.filter(({ use }) => use === 'apiserver')).toHaveLength(why === undefined ? 1 : 0);
  expect(all.filter(({ use }) => use === undefined)).toEqual(change.addresses ?? []);
});

test('a name that is refused is told once, and again when it was gone meanwhile', () => {
  const told: unknown[] = [];
  let state: CoordinatorState = newCoordinator;
  let version = 0;
  const give = (input: CoordinatorInput) => {
    const step = stepCoordinator(state, input, rules, 0);
    ({ state } = step);
    for (const effect of step.effects) {
      if (effect.type === 'tell' && effect.event.type === 'vip.name-refused') told.push(effect.event.node);
    }
    if (step.effects.some(({ type }) => type === 'write')) give({ type: 'written', call: state.calls, version: 'w' });
  };
  const says = (node: string, said: Says) => {
    version += 1;
    const text = String(version);
    const of = { uid: node, holder: `${node}-1`, durationMs: leaseDurationMs, transitions: 0, nonce: text };
    give({ type: 'lease', node, record: { ...of, version: text, notes: said } });
  };
  give({ type: 'wanted', wanted: { addresses: [], nodes: new Map(), policy, apiServerVips: new Set() } });
  says('a', {});
  says('b', ready);
  give({ type: 'synced' });
  give({ type: 'elected', epoch: 1 });
  give({ type: 'read', call: state.calls, stored: { version: 'v', assignment: noAssignment } });
  expect(told).toEqual(['b']);
  says('b', ready);
  says('a', { [notes.capacity]: '2' });
  expect(told).toEqual(['b']);
  says('b', {});
  says('b', ready);
  expect(told).toEqual(['b', 'b']);
  expect(state.stored?.assignment.grants.size).toBe(0);
});

test('what is no address on a Lease is none, and servers that name different ones have each their own', () => {
  const other = { ...ready, [notes.apiServerVip]: '192.0.2.11' };
  const state = stateOf({ says: { a: ready, b: other, c: { ...ready, [notes.apiServerVip]: 'anything' } } });
  expect([...apiServerVips(state, leaseDurationMs, 10)]).toEqual([
    [vip, new Set(['a'])],
    ['192.0.2.11', new Set(['b'])],
  ]);
});

test.each<[string, World, string]>([
  ['its API server has failed', { says: { a: unready, b: ready }, owner: 'a' }, 'b: ineligible'],
  ['no API server is ready: that passes', { says: { a: unready, b: unready }, owner: 'a' }, 'stays on a'],
  ['another one comes', { says: { a: ready, b: ready }, owner: 'b' }, 'stays on b'],
  ['its node is drained', { says: { a: ready, b: ready }, owner: 'a', states: { a: 'draining' } }, 'b: drain'],
  [
    'its node is drained, and no pods can run on it',
    { says: { a: ready, b: ready }, owner: 'a', states: { a: 'unready' }, draining: ['a'] },
    'b: unready',
  ],
  [
    'its node is drained, and no pods can run anywhere',
    { says: { a: ready, b: ready }, owner: 'a', states: { a: 'unready', b: 'unready' }, draining: ['a'] },
    'b: pin',
  ],
  [
    'its node is drained, and nobody else could have it',
    { says: { a: ready, b: {} }, owner: 'a', states: { a: 'unready' }, draining: ['a'] },
    'stays on a',
  ],
  [
    'its node is about to end',
    { says: { a: { ...ready, [notes.leaving]: 'true' }, b: ready }, owner: 'a' },
    'b: unready',
  ],
  ['pods cannot run on its node', { says: { a: ready, b: ready }, owner: 'a', states: { a: 'unready' } }, 'stays on a'],
  ['pods cannot run anywhere yet', { says: { a: ready }, states: { a: 'unready' } }, 'a: new'],
  ['of several, pods can run on one', { says: { a: ready, b: ready }, states: { a: 'unready' } }, 'b: new'],
  ['an operator pins it', { says: { a: ready, b: ready }, owner: 'a', pins: { [vip]: 'b' } }, 'b: pin'],
  [
    'an operator has pinned it to a node that is about to end',
    { says: { a: { ...ready, [notes.leaving]: 'true' }, b: ready }, owner: 'a', pins: { [vip]: 'a' } },
    'b: unready',
  ],
  [
    'an operator has pinned it where no API server is',
    { says: { a: ready, b: {} }, owner: 'a', pins: { [vip]: 'b' } },
    'stays on a',
  ],
  [
    'its node cannot take it, and no pods can run anywhere',
    { says: { a: refuses, b: ready, c: ready }, owner: 'a', states: { a: 'unready', b: 'unready', c: 'unready' } },
    'b: ineligible',
  ],
  [
    'its node cannot take it, as the one before could not',
    { says: { a: ready, b: refuses, c: ready }, owner: 'b', states: { a: 'cordoned', b: 'cordoned', c: 'cordoned' } },
    'c: ineligible',
  ],
  [
    'its node cannot take it, the next one could not be ready for it',
    { says: { a: refuses, b: refuses, c: ready }, owner: 'a', states: { a: 'cordoned', b: 'cordoned', c: 'cordoned' } },
    'c: ineligible',
  ],
  [
    'its node cannot take it, and pods can run on that one alone',
    { says: { a: refuses, b: ready }, owner: 'a', states: { b: 'cordoned' } },
    'b: ineligible',
  ],
  [
    'an operator has pinned it to a node that cannot take it',
    { says: { a: refuses, b: ready }, owner: 'a', states: { b: 'cordoned' }, pins: { [vip]: 'a' } },
    'b: ineligible',
  ],
  [
    'its node cannot take it, and every other one is drained',
    { says: { a: refuses, b: ready }, owner: 'a', states: { b: 'draining' } },
    'stays on a',
  ],
  [
    'its node is about to end, and nobody can be ready for it',
    { says: { a: { ...ready, [notes.leaving]: 'true' }, b: refuses }, owner: 'a', states: { b: 'cordoned' } },
    'stays on a',
  ],
])('%s', (_, world, expected) => {
  expect(planned(world)).toBe(expected);
});

test('it stays where it is also when it is pinned to a node that is drained', () => {
  const state = stateOf({
    says: { a: ready, b: ready, c: ready },
    owner: 'b',
    states: { a: 'draining' },
    pins: { [vip]: 'a' },
  });
  expect(wantedAddresses(state, planNodes(state, rules, 10), leaseDurationMs, 10)).toMatchObject([{ pinnedTo: 'b' }]);
});

test('it counts as one of its node’s when Services’ addresses are spread', () => {
  const state = stateOf({ says: { a: ready, b: ready }, owner: 'a' });
  const wanted = { ...state.wanted, addresses: [{ address: '192.0.2.20', weight: 1 }] };
  const input = presentInput({ ...state, wanted }, rules, 10);
  expect(input && plan(input).moves).toMatchObject([{ address: '192.0.2.20', to: 'b' }]);
});

test('a Service that has the address by mistake does not take it from them', () => {
  const state = stateOf({ says: { a: ready, b: {} } });
  const wanted = { ...state.wanted, apiServerVips: new Set([vip]), addresses: [{ address: vip, weight: 1 }] };
  const addresses = wantedAddresses({ ...state, wanted }, planNodes(state, rules, 10), leaseDurationMs, 10);
  expect(addresses).toMatchObject([{ address: vip, use: 'apiserver', eligible: new Set(['a']) }]);
});

test('an explanation says why each node may have it or not', () => {
  const input = presentInput(stateOf({ says: { a: ready, b: {} }, owner: 'a' }), rules, 10);
  const answer = input && explainAddress(input, plan(input), vip);
  expect(answer?.verdict).toBe('stays: the API servers’ own moves only when it has to');
  expect(answer?.nodes.map(({ why }) => why)).toEqual(['has it', 'not eligible: no API server that is ready']);
});
