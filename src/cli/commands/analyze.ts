/** `k3s-lite analyze blame|critical-chain`: where the time of a start went, from its record. */
import { blame, criticalChain, readStart, type StartRecord } from '../../app/read-starts.ts';
import { exitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import { nearestName } from '../../kernel/nearest.ts';
import type { CommandRun } from '../command.ts';
import { renderBlame, renderChain } from './analyze-table.ts';
import { placeOf } from './connect.ts';

const views = {
  blame: { of: blame, render: renderBlame },
  'critical-chain': { of: criticalChain, render: renderChain },
} as const;

export const run: CommandRun = async (input) => {
  const { io, options, args } = input;
  const name = viewOf(args[0] ?? '');
  const { startsDir } = await placeOf(input);
  const record = readStart(startsDir, startOf(options['start']));
  const json = (value: unknown) => JSON.stringify({ ...about(record), [name]: value }, undefined, 2);
  const view = views[name];
  io.out(`${options['json'] === true ? json(view.of(record)) : view.render(record, io.colour)}\n`);
  return exitCode.ok;
};

const about = ({ startedAtMs, ready, totalMs }: StartRecord) => ({ startedAtMs, ready, totalMs });

function viewOf(name: string): keyof typeof views {
  if (name === 'blame' || name === 'critical-chain') return name;
  const nearest = nearestName(name, Object.keys(views));
  const remedy = nearest === undefined ? '' : `; did you mean "${nearest}"?`;
  throw new StartupError('ERR_USAGE', `analyze knows blame and critical-chain, not "${name}"${remedy}`, { name });
}

function startOf(given: unknown): number {
  if (given === undefined || given === 'latest') return 1;
  if (typeof given === 'string' && /^[1-9]\d{0,5}$/.test(given)) return Number(given);
  throw new StartupError(
    'ERR_USAGE',
    `--start is "${typeof given === 'string' ? given : typeof given}", but must be latest, 1, 2…`,
    {
      option: '--start',
    },
  );
}
