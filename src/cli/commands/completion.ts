/** `k3s-lite completion SHELL`: made from the command table, so it never lags behind it. */
import { exitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import { nearestName } from '../../kernel/nearest.ts';
import type { CommandRow, CommandRun } from '../command.ts';
import { commandRows } from '../commands.ts';

export const run: CommandRun = ({ args: [shell = ''], io }) => {
  const script = scripts.get(shell);
  if (script === undefined) {
    const nearest = nearestName(shell, scripts.keys());
    const remedy = nearest === undefined ? `one of ${[...scripts.keys()].join(', ')}` : `did you mean "${nearest}"?`;
    throw new StartupError('ERR_USAGE', `cannot complete for shell "${shell}"; ${remedy}`, { shell });
  }
  io.out(script(commandRows.filter(({ hidden }) => hidden !== true)));
  return Promise.resolve(exitCode.ok);
};

const longOptions = (row: CommandRow): string[] =>
  row.options.flatMap(({ flags }) => /--[a-z-]+/.exec(flags)?.[0] ?? []);

const names = (rows: readonly CommandRow[]) => rows.map(({ name }) => name).join(' ');

function bash(rows: readonly CommandRow[]): string {
  const cases = rows.map((row) => `    ${row.name}) words="${longOptions(row).join(' ')}" ;;`).join('\n');
  return `_k3s_lite() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words
  case "\${COMP_WORDS[1]}" in
${cases}
    *) words="${names(rows)}" ;;
  esac
  [ "$COMP_CWORD" = 1 ] && words="${names(rows)}"
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _k3s_lite k3s-lite
`;
}

function zsh(rows: readonly CommandRow[]): string {
  const cases = rows.map((row) => `    ${row.name}) compadd -- ${longOptions(row).join(' ')} ;;`).join('\n');
  return `#compdef k3s-lite
_k3s_lite() {
  if (( CURRENT == 2 )); then compadd -- ${names(rows)}; return; fi
  case "\${words[2]}" in
${cases}
  esac
  _files
}
compdef _k3s_lite k3s-lite
`;
}

function fish(rows: readonly CommandRow[]): string {
  const quote = (text: string) => `'${text.replaceAll("'", "\\'")}'`;
  const lines = rows.flatMap((row) => [
    `complete -c k3s-lite -n __fish_use_subcommand -a ${row.name} -d ${quote(row.about)}`,
    ...row.options.flatMap(({ flags, about }) => {
      const long = /--([a-z-]+)/.exec(flags)?.[1];
      return long === undefined
        ? []
        : [`complete -c k3s-lite -n '__fish_seen_subcommand_from ${row.name}' -l ${long} -d ${quote(about)}`];
    }),
  ]);
  return `${lines.join('\n')}\n`;
}

const scripts = new Map<string, (rows: readonly CommandRow[]) => string>([
  ['bash', bash],
  ['zsh', zsh],
  ['fish', fish],
]);
