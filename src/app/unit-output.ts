/**
 * `up --unit-output prefix`: the output of all units on our standard output, each line behind its unit's
 * name, as `docker logs` and `kubectl logs` want it. By itself in a container without a terminal.
 *
 * Units still write to files of their own, which are followed here: a reader that is slow or gone keeps no unit
 * waiting and no supervisor.
 */
import { StartupError } from '../error/startup-error.ts';
import type { ProcessPort } from '../process/process-port.ts';
import { boundedLines, type LineStream } from '../report/bounded-lines.ts';
import type { FlagValues } from './flag-values.ts';

interface OutputQuestion {
  /** This is the entrypoint of a container. */
  readonly isContainer: boolean;
  readonly outIsTty: boolean;
}

/** @throws StartupError ERR_CONFIG for another word than prefix and none, or for prefix with --json */
export function wantsUnitOutput(values: FlagValues, { isContainer, outIsTty }: OutputQuestion): boolean {
  const isJson = values['json'] === true;
  const mode = values['unit-output'];
  switch (mode) {
    case undefined:
      return isContainer && !outIsTty && !isJson;
    case 'none':
      return false;
    case 'prefix':
      if (!isJson) return true;
      throw new StartupError('ERR_CONFIG', '--unit-output prefix does not go with --json: output is no event', {
        mode,
      });
    default:
      throw new StartupError('ERR_CONFIG', `--unit-output is "${String(mode)}", but must be prefix or none`, { mode });
  }
}

export interface UnitOutputOptions {
  readonly units: readonly string[];
  readonly process: Pick<ProcessPort, 'log'>;
  readonly stream: LineStream;
}

/** Shows lines from now on. Disposing shows no more. */
export function showUnitOutput({ units, process, stream }: UnitOutputOptions): Disposable {
  const width = Math.max(0, ...units.map((unit) => unit.length));
  const label = (name: string) => `${name.padEnd(width)} | `;
  const lines = boundedLines({
    stream,
    droppedLine: (count) =>
      `${label('k3s-lite')}${String(count)} lines of units dropped: nobody reads this output fast enough\n`,
  });
  const followed = units.map((unit) => {
    const prefix = label(unit);
    return process.log(unit).follow((line) => lines.write(`${prefix}${line}\n`));
  });
  return {
    [Symbol.dispose]: () => {
      for (const each of followed) each[Symbol.dispose]();
      lines[Symbol.dispose]();
    },
  };
}
