/** `k3s-lite start UNIT…`: wants units and what they need up, and waits until they are ready. */
import type { CommandRun } from '../command.ts';
import { moveUnits, untilUp } from './move-units.ts';

export const run: CommandRun = (input) =>
  moveUnits(input, {
    ask: (client) => client.start({ units: input.args }),
    // What it needs only softly may still come.
    isDone: (snapshots) => input.args.every((unit) => untilUp(snapshots, unit, 0)),
  });
