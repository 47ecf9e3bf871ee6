import type { UnitStateName } from '../unit/state.ts';

/** Fill of a unit's box by its state; light enough for black text, told apart also without red and green. */
export const stateColours: Readonly<Record<UnitStateName, string>> = {
  inactive: '#f2f2f2',
  waiting: '#d6e4f5',
  blocked: '#f4b6c2',
  starting: '#fff0b3',
  ready: '#b8e0b4',
  done: '#d9efd6',
  unhealthy: '#ffcf99',
  backoff: '#ffdfba',
  failed: '#ef7d7d',
  stopping: '#ddd3ec',
  stopped: '#e4e4e4',
};
