/** The values of flags, wherever they come from. */
import { StartupError } from '../error/startup-error.ts';
import { nearestName } from '../kernel/nearest.ts';

/** Values by the flag's name: a string, a list of strings, or true for a switch. */
export type FlagValues = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;

/** A flag that does not exist, with the nearest that does. */
export function unknownFlag(what: string, name: string, known: Iterable<string>): StartupError {
  const nearest = nearestName(name, known);
  const remedy = nearest === undefined ? '' : `; did you mean "${nearest}"?`;
  return new StartupError('ERR_CONFIG', `${what} is not known${remedy}`, { name, nearest });
}
