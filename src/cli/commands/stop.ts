/** `k3s-lite stop UNIT…`: stops units for good, and waits until they are gone. */
import type { CommandRun } from '../command.ts';
import { moveUnits } from './move-units.ts';

export const run: CommandRun = (input) =>
  moveUnits(input, {
    ask: (client) => client.stop({ units: input.args, cascade: input.options['cascade'] === true }),
    isDone: (snapshots, moved) => moved.every(({ unit }) => snapshots.get(unit)?.state === 'stopped'),
  });
