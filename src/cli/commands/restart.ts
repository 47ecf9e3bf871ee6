/** `k3s-lite restart UNIT…`: stops units, starts them again, and waits until they are ready. */
import type { CommandRun } from '../command.ts';
import { moveUnits, untilUp } from './move-units.ts';

export const run: CommandRun = (input) =>
  moveUnits(input, {
    ask: (client) => client.restart({ units: input.args, cascade: input.options['cascade'] === true }),
    isDone: (snapshots, moved) => moved.every(({ unit, generation }) => untilUp(snapshots, unit, generation)),
  });
