/**
 * Small graphs of one's own with one unit that misbehaves, for faults that no component has.
 *
 *   web ─hard─► api ─hard─► faulty        free
 */

/** Fails after two starts and is then tried again every 300 ms. */
const restart = { limit: { starts: 2 }, backoff: { first: '50ms', max: '300ms' } };

const idle = ['sleep', '86400'];

/** @param faulty - what is special about it */
export function graphWith(faulty: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return {
    faulty: { about: 'Does something wrong', restart, ...faulty },
    api: { about: 'Needs it', run: idle, needs: [{ hard: 'faulty' }] },
    web: { about: 'Needs what needs it', run: idle, needs: [{ hard: 'api' }] },
    free: { about: 'Needs nothing', run: idle },
  };
}

/** A program of a few lines. */
export const script = (...lines: readonly string[]): readonly string[] => ['sh', '-c', lines.join('\n')];
