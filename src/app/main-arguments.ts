/**
 * `up --exit-with UNIT -- ARGS`: what follows `--` is appended to the command line of the main unit, as the words after
 * an image's name are to its entrypoint.
 */
import { StartupError } from '../error/startup-error.ts';
import { flagWords } from '../process/flag-words.ts';
import { changedUnit } from '../unit/changed-unit.ts';
import type { LoadedUnits } from '../unit/load-units.ts';

/** @throws StartupError ERR_CONFIG when no unit is named, or one that runs no program */
export function withMainArguments(
  loaded: LoadedUnits,
  mainUnit: string | undefined,
  words: readonly string[],
): LoadedUnits {
  if (words.length === 0) return loaded;
  if (mainUnit === undefined) {
    throw new StartupError('ERR_CONFIG', 'the words after `--` are for the main unit: name it with --exit-with UNIT', {
      words,
    });
  }
  const units = loaded.units.map((unit) => {
    if (unit.name !== mainUnit) return unit;
    if (unit.kind === 'builtin') {
      throw new StartupError('ERR_CONFIG', `--exit-with ${mainUnit} is a builtin, which takes no words after \`--\``, {
        words,
      });
    }
    // Behind the flags, which are written behind `run` otherwise.
    return changedUnit(unit, { run: [...unit.run, ...flagWords(unit.flags), ...words], flags: {} });
  });
  return { ...loaded, units };
}
