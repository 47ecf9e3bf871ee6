/** Parses the command line by the command table, runs one command, renders what it throws. */
import { Command, CommanderError, Help } from 'commander';
import { renderFailure } from '../app/render-failure.ts';
import { exitCode } from '../error/codes.ts';
import { nearestName } from '../kernel/nearest.ts';
import type { CommandInput, CommandRow, Io } from './command.ts';
import { commandRows } from './commands.ts';
import { interruption } from './interruption.ts';
import { processIo, type ProcessIo } from './io.ts';

/** @param argv - words after the program's name */
export async function runCommandLine(argv: readonly string[], io: ProcessIo = processIo()): Promise<number> {
  let code: number = exitCode.ok;
  const output = {
    writeOut: (text: string) => io.out(text),
    writeErr: (text: string) => io.err(text),
    outputError(text: string, write: (text: string) => void) {
      if (!text.includes('unknown command')) write(usageText(text, argv[0] ?? ''));
    },
  };
  const program = new Command('k3s-lite')
    .description('Brings a real Kubernetes cluster up from declarative unit files, in graph order, and keeps it up.')
    .usage('COMMAND [options]')
    .option('-V, --version', 'print the version')
    .exitOverride()
    .configureOutput(output)
    .configureHelp({ sortOptions: false })
    .showHelpAfterError(false)
    .enablePositionalOptions();
  const { words, rest } = splitRest(argv);
  // Making some forty commands takes longer than finding the one that was named.
  const named = rowNamed(argv[0]);
  for (const row of named === undefined ? commandRows : [named]) {
    program.addCommand(
      commandOf(row, async (args, options) => {
        code = await runRow(row, { args, rest, options, io });
      }).configureOutput(output),
      { hidden: row.hidden === true },
    );
  }
  try {
    if (argv.length === 0) {
      io.err(program.helpInformation());
      return exitCode.usage;
    }
    await program.parseAsync([...words], { from: 'user' });
    return code === exitCode.ok && (await io.hasLostOutput()) ? exitCode.bug : code;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return exitCode.ok;
    if (error.code === 'commander.unknownCommand') tellUnknown(argv, io);
    return exitCode.usage;
  }
}

function commandOf(
  row: CommandRow,
  act: (args: readonly string[], options: Record<string, unknown>) => Promise<void>,
): Command {
  const command = new Command(row.name)
    .description(row.about)
    .aliases([...(row.aliases ?? [])])
    .exitOverride()
    .configureHelp({ sortOptions: false, formatHelp: (cmd, helper) => formatHelp(row, cmd, helper) });
  if (row.args !== undefined) for (const argument of row.args.split(' ')) command.argument(argument);
  for (const { flags, about, list } of row.options) {
    // Commander's own variadic options swallow the words after them: `--units dir api`.
    if (list === true)
      command.option(flags, about, (word: string, words: string[] | undefined) => [...(words ?? []), word]);
    else command.option(flags, about);
  }
  if (row.passThrough === true) {
    command.helpOption(false).allowUnknownOption().allowExcessArguments().passThroughOptions();
  }
  command.action(async () => act(command.args, command.opts()));
  return command;
}

/** Commander's words, said as the other errors are: what is wrong, the nearest that is right, where all of it stands. */
function usageText(text: string, command: string): string {
  const said = text
    .trim()
    .replace(/^error: /, 'k3s-lite: ')
    .replace(/\s*\(Did you mean (?:one of )?(.+)\?\)$/, '; did you mean $1?')
    .replaceAll("'", '"');
  return `${said}\n  hint: \`k3s-lite ${command.startsWith('-') ? '' : `${command} `}--help\` lists what it takes\n`;
}

function formatHelp(row: CommandRow, command: Command, helper: Help): string {
  const text = Help.prototype.formatHelp.call(helper, command, helper);
  if (row.examples.length === 0) return text;
  return `${text}\nExamples:\n${row.examples.map((example) => `  ${example}\n`).join('')}`;
}

async function runRow(row: CommandRow, given: Pick<CommandInput, 'args' | 'rest' | 'options' | 'io'>): Promise<number> {
  using interrupt = interruption();
  try {
    const { run } = await row.load();
    return await run({ ...given, env: process.env, cwd: process.cwd(), signal: interrupt.signal });
  } catch (error) {
    if (interrupt.signal.aborted && error === interrupt.signal.reason) return interrupt.exitCode();
    return renderFailure(error, given.io);
  }
}

/** Commander would take the words after `--` for further arguments. */
export function splitRest(argv: readonly string[]): { words: readonly string[]; rest: readonly string[] } {
  const row = rowNamed(argv[0]);
  const at = row?.takesRest === true ? argv.indexOf('--') : -1;
  return at < 0 ? { words: argv, rest: [] } : { words: argv.slice(0, at), rest: argv.slice(at + 1) };
}

function rowNamed(word = ''): CommandRow | undefined {
  return commandRows.find(({ name, aliases = [] }) => name === word || aliases.includes(word));
}

function tellUnknown(argv: readonly string[], io: Io): void {
  const name = argv.find((word) => !word.startsWith('-')) ?? '';
  const nearest = nearestName(
    name,
    commandRows.filter(({ hidden }) => hidden !== true).flatMap((row) => [row.name, ...(row.aliases ?? [])]),
  );
  const remedy = nearest === undefined ? '' : `; did you mean "${nearest}"?`;
  io.err(`k3s-lite: there is no command "${name}"${remedy}\n  hint: \`k3s-lite --help\` lists all commands\n`);
}
