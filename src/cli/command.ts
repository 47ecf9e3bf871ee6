/**
 * What a command of the CLI is. Its table row (name, options, help) is cheap and always loaded;
 * its code is imported only when it runs.
 */

/** Where a command writes: results to `out`, progress and errors to `err`. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  readonly outIsTty: boolean;
  readonly errIsTty: boolean;
  /** Columns of the terminal; very many when it is none. */
  readonly columns: number;
  readonly colour: boolean;
}

export interface CommandInput {
  readonly args: readonly string[];
  /** Words after `--` of a command that `takesRest`. */
  readonly rest?: readonly string[];
  /** By camel-case name (`dataDir`), typed by the command's own zod schema. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly io: Io;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Aborts at the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
}

/** The module behind a command, with the exit code (see error/codes.ts): `export const run: CommandRun`. Throws StartupError for expected failures; the caller renders it. */
export type CommandRun = (input: CommandInput) => Promise<number>;

export interface OptionRow {
  /** As commander reads it: "-f, --follow", "--data-dir <dir>". */
  readonly flags: string;
  /** May be given several times; the command gets an array. */
  readonly list?: boolean;
  readonly about: string;
}

export interface CommandRow {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** As commander reads them: "<unit>", "[dir]", "[units...]". */
  readonly args?: string;
  readonly about: string;
  readonly options: readonly OptionRow[];
  readonly examples: readonly string[];
  /** For ourselves alone: neither in the help nor in completions. */
  readonly hidden?: boolean;
  /** Everything after the name belongs to another program (kubectl). */
  readonly passThrough?: boolean;
  /** What follows `--` is for somebody else: `CommandInput.rest`. */
  readonly takesRest?: boolean;
  load(): Promise<{ readonly run: CommandRun }>;
}
