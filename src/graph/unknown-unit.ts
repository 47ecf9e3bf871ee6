import { StartupError } from '../error/startup-error.ts';
import { nearestName } from '../kernel/nearest.ts';

/** Somebody named a unit that is not in the graph: names the nearest one that is. */
export function unknownUnitError(name: string, known: readonly string[]): StartupError {
  const nearest = nearestName(name, known);
  const remedy = nearest === undefined ? '' : `; did you mean "${nearest}"?`;
  return new StartupError('ERR_UNKNOWN_UNIT', `there is no unit "${name}"${remedy}`, { unit: name, nearest });
}
