import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  answerWithinMs,
  beatEveryMs,
  newPeer,
  stepPeer,
  type PeerInput,
  type PeerState,
} from '../../../src/cluster/peers/peer-state.ts';

const states = {
  new: newPeer,
  alive: { id: 'alive', sinceMs: 10, latencyMs: 8 },
  doubtful: { id: 'doubtful', sinceMs: 20, latencyMs: 8, reason: 'refused' },
  silent: { id: 'silent', sinceMs: 30, reason: 'refused' },
} as const satisfies Record<PeerState['id'], PeerState>;
const answered: PeerInput = { kind: 'answered', tookMs: 16 };
const missed: PeerInput = { kind: 'missed', reason: 'no answer' };
const nowMs = 100;

test.each([
  ['new', answered, { id: 'alive', sinceMs: 100, latencyMs: 16 }, 700, undefined],
  ['new', missed, { id: 'doubtful', sinceMs: 100, latencyMs: undefined, reason: 'no answer' }, 100, undefined],
  ['alive', answered, { id: 'alive', sinceMs: 10, latencyMs: 9 }, 700, undefined],
  ['alive', missed, { id: 'doubtful', sinceMs: 100, latencyMs: 8, reason: 'no answer' }, 100, undefined],
  ['doubtful', answered, { id: 'alive', sinceMs: 100, latencyMs: 9 }, 700, undefined],
  ['doubtful', missed, { id: 'silent', sinceMs: 100, reason: 'no answer' }, 700, 'silent'],
  ['silent', answered, { id: 'alive', sinceMs: 100, latencyMs: 16 }, 700, 'back'],
  ['silent', missed, { id: 'silent', sinceMs: 30, reason: 'no answer' }, 2000, undefined],
] as const)('%s: %o', (from, input, state, nextInMs, change) => {
  expect(stepPeer(states[from], input, nowMs)).toEqual({
    state,
    nextInMs,
    ...(change === undefined ? {} : { change }),
  });
});

/** How long a peer that answers no more counts as alive, at worst: it fell silent just after an answer. */
function silenceNoticedAfterMs(): number {
  let [elapsedMs, state]: [number, PeerState] = [beatEveryMs, states.alive];
  for (;;) {
    elapsedMs += answerWithinMs;
    const step = stepPeer(state, missed, elapsedMs);
    if (step.state.id === 'silent') return elapsedMs;
    elapsedMs += step.nextInMs;
    state = step.state;
  }
}

test('a peer that falls silent is marked within 3 s', () => {
  expect(silenceNoticedAfterMs()).toBeLessThan(3_000);
});

test('whatever happens: what is told alternates, and a change is told exactly when it is one', () => {
  const input = fc.oneof(
    fc.record({ kind: fc.constant('answered' as const), tookMs: fc.nat(1000) }),
    fc.record({ kind: fc.constant('missed' as const), reason: fc.string() }),
  );
  fc.assert(
    fc.property(fc.array(input, { maxLength: 60 }), (inputs) => {
      let state: PeerState = newPeer;
      const told: string[] = [];
      for (const [at, one] of inputs.entries()) {
        const step = stepPeer(state, one, at);
        const wasSilent = state.id === 'silent';
        expect(step.change === 'silent').toBe(step.state.id === 'silent' && !wasSilent);
        expect(step.change === 'back').toBe(step.state.id !== 'silent' && wasSilent);
        if (one.kind === 'answered') expect(step.state.id).toBe('alive');
        if (step.change !== undefined) told.push(step.change);
        state = step.state;
      }
      expect(told).toEqual(told.map((_, at) => (at % 2 === 0 ? 'silent' : 'back')));
    }),
  );
});
