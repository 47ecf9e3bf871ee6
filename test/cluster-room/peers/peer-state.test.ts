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
  silent: { id: 'silent', sinceMs: 30, reason: 'refused', wasHeard: true, isLost: false },
  unheard: { id: 'silent', sinceMs: 30, reason: 'refused', wasHeard: false, isLost: false },
  waiting: { id: 'doubtful', sinceMs: 20, latencyMs: undefined, reason: 'no answer' },
} as const satisfies Record<string, PeerState>;
const answered: PeerInput = { kind: 'answered', tookMs: 16 };
const missed: PeerInput = { kind: 'missed', reason: 'no answer', isUnanswered: true };
const refused: PeerInput = { kind: 'missed', reason: 'refused', isUnanswered: false };
const context = { nowMs: 100, peers: 3 };

const silent = { id: 'silent', sinceMs: 100, reason: 'no answer', wasHeard: true, isLost: true };

test.each([
  ['new', answered, { id: 'alive', sinceMs: 100, latencyMs: 16 }, 250, undefined],
  ['new', missed, { id: 'doubtful', sinceMs: 100, latencyMs: undefined, reason: 'no answer' }, 50, undefined],
  ['alive', answered, { id: 'alive', sinceMs: 10, latencyMs: 9 }, 250, undefined],
  ['alive', missed, { id: 'doubtful', sinceMs: 100, latencyMs: 8, reason: 'no answer' }, 50, undefined],
  ['doubtful', answered, { id: 'alive', sinceMs: 100, latencyMs: 9 }, 250, undefined],
  ['doubtful', missed, silent, 250, 'silent'],
  ['doubtful', refused, { ...silent, reason: 'refused', isLost: false }, 250, 'silent'],
  ['waiting', missed, { ...silent, wasHeard: false, isLost: false }, 250, 'silent'],
  ['silent', answered, { id: 'alive', sinceMs: 100, latencyMs: 16 }, 250, 'back'],
  ['silent', missed, { ...silent, sinceMs: 30 }, 1000, undefined],
  ['silent', refused, { ...silent, sinceMs: 30, reason: 'refused', isLost: false }, 1000, undefined],
  ['unheard', missed, { ...silent, sinceMs: 30, wasHeard: false, isLost: false }, 1000, undefined],
] as const)('%s: %o', (from, input, state, nextInMs, change) => {
  expect(stepPeer(states[from], input, context)).toEqual({
    state,
    nextInMs,
    ...(change === undefined ? {} : { change }),
  });
});

/** How long a peer that answers no more counts as alive, at worst: it fell silent just after an answer. */
function silenceNoticedAfterMs(peers: number): number {
  let [elapsedMs, state]: [number, PeerState] = [beatEveryMs(peers), states.alive];
  for (;;) {
    elapsedMs += answerWithinMs;
    const step = stepPeer(state, missed, { nowMs: elapsedMs, peers });
    if (step.state.id === 'silent') return elapsedMs;
    elapsedMs += step.nextInMs;
    state = step.state;
  }
}

test('a peer that falls silent is marked within 3 s, among few within 1.3 s', () => {
  expect(silenceNoticedAfterMs(24)).toBeLessThan(3_000);
  expect(silenceNoticedAfterMs(6)).toBe(1_300);
});

const anyAnswer: unknown = expect.objectContaining({ kind: 'answered' });

test('whatever happens: what is told alternates, and a change is told exactly when it is one', () => {
  const input = fc.oneof(
    fc.record({ kind: fc.constant('answered' as const), tookMs: fc.nat(1000) }),
    fc.record({ kind: fc.constant('missed' as const), reason: fc.string(), isUnanswered: fc.boolean() }),
  );
  fc.assert(
    fc.property(fc.array(input, { maxLength: 60 }), (inputs) => {
      let state: PeerState = newPeer;
      const told: string[] = [];
      for (const [at, one] of inputs.entries()) {
        const step = stepPeer(state, one, { nowMs: at, peers: 3 });
        const wasSilent = state.id === 'silent';
        expect(step.change === 'silent').toBe(step.state.id === 'silent' && !wasSilent);
        expect(step.change === 'back').toBe(step.state.id !== 'silent' && wasSilent);
        if (one.kind === 'answered') expect(step.state.id).toBe('alive');
        if (step.state.id === 'silent' && step.state.isLost) expect(inputs.slice(0, at)).toContainEqual(anyAnswer);
        if (step.change !== undefined) told.push(step.change);
        state = step.state;
      }
      expect(told).toEqual(told.map((_, at) => (at % 2 === 0 ? 'silent' : 'back')));
    }),
  );
});
