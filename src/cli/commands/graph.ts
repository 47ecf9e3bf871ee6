/** `k3s-lite graph`: the dependency graph as DOT, SVG, text or JSON, also with the states of what runs. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { exitCode, type ExitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import { drawGraph, graphFormats, type GraphFormat } from '../../graph/draw.ts';
import { messageOf } from '../../kernel/message-of.ts';
import { nearestName } from '../../kernel/nearest.ts';
import type { CommandInput, CommandRun } from '../command.ts';
import { installedGraph, type GraphSource } from './graph-source.ts';

export const run: CommandRun = (input) => graph(input, installedGraph);

export async function graph(input: CommandInput, source: GraphSource): Promise<ExitCode> {
  const { options, io, cwd } = input;
  const picture = await draw(input, source, formatOf(options['format']));
  const { output } = options;
  if (typeof output === 'string') write(path.resolve(cwd, output), picture);
  else io.out(picture);
  return exitCode.ok;
}

async function draw(input: CommandInput, source: GraphSource, format: GraphFormat): Promise<string> {
  if (input.options['live'] === true) {
    if (input.args.length > 0) {
      throw new StartupError('ERR_USAGE', '--live draws the whole graph that runs: name no units with it', {});
    }
    return source.drawLive(input, format);
  }
  const { graph: units } = await source.load(input, input.args);
  return drawGraph(units, format, input.args.length === 0 ? {} : { only: units.closure(input.args) });
}

function formatOf(given: unknown): GraphFormat {
  const name = typeof given === 'string' ? given : 'dot';
  const known = graphFormats.find((format) => format === name);
  if (known !== undefined) return known;
  const near = nearestName(name, graphFormats);
  const remedy = near === undefined ? '' : `; did you mean "${near}"?`;
  throw new StartupError('ERR_USAGE', `--format is "${name}", but must be ${graphFormats.join(', ')}${remedy}`, {
    format: name,
  });
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    const reason = messageOf(error);
    throw new StartupError('ERR_USAGE', `cannot write ${file}: ${reason}`, { file }, { cause: error });
  }
}
