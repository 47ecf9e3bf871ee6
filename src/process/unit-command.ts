/**
 * Everything about a program of a unit but its output: which file it is, with which words, as whom, where,
 * with which environment, and by which other program its limits are set.
 */
import path from 'node:path';
import type { Unit } from '../unit/schema.ts';
import { resolveAccount } from './account.ts';
import { childEnv } from './child-env.ts';
import { confinedCommand } from './confined-command.ts';
import { checkFolder, findProgram } from './find-program.ts';
import { limitedCommand } from './limited-command.ts';
import { programIdentity } from './program-identity.ts';
import { markerVariable } from './run-marker.ts';
import type { RunRecord } from './run-record.ts';
import type { SpawnRequest } from './spawn.ts';

/** What a unit gets from us where its file says nothing. */
export interface CommandPlace {
  /** Environment from which the minimal one of the units is picked. */
  readonly baseEnv: Readonly<Record<string, string | undefined>>;
  /** Working directory of units that name none. */
  readonly defaultCwd: string;
  /** What `k3s-lite` as a unit's program stands for: Node.js and our own script. Default: it is looked for on PATH. */
  readonly ownProgram?: readonly string[] | undefined;
}

export interface UnitCommandRequest {
  readonly unit: Unit;
  /** The unit's `run` with its flags, or another program of it (its `undo`, an exec probe). */
  readonly argv: readonly string[];
  /** Value of the marker variable. */
  readonly run: string;
  readonly extraEnv?: Readonly<Record<string, string>>;
}

interface BareCommand extends Omit<SpawnRequest, 'output'> {
  /** The unit's own program, also where another one sets its limits first. */
  readonly program: Program;
}

export interface Program {
  /** Absolute path. */
  readonly file: string;
  /** See program-identity.ts. */
  readonly identity: string;
}

/** @throws an Error whose `code` is the errno name: of the program, the folder, the account, a file of the environment */
function bareCommand(place: CommandPlace, request: UnitCommandRequest): BareCommand {
  const { unit, argv, run, extraEnv = {} } = request;
  const { baseEnv, ownProgram } = place;
  const account = resolveAccount(unit);
  const cwd = path.resolve(place.defaultCwd, unit.cwd ?? '.');
  checkFolder(cwd);
  const env = childEnv({ unit, baseEnv, extraEnv, account, cwd, marker: [markerVariable, run] });
  const ours = argv[0] === 'k3s-lite' ? ownProgram : undefined;
  const [name = '', ...args] = ours === undefined ? argv : [...ours, ...argv.slice(1)];
  const file = findProgram(name, cwd, env['PATH']);
  // Of Node.js and our script the script is what an upgrade changes.
  const identity = programIdentity([file, ...(ours?.slice(1) ?? [])]);
  return { program: { file, identity }, file, args, env, cwd, account };
}

/**
 * Whether the unit would run the same program now as a run of an earlier k3s-lite does. What is not found now, or
 * was not written down then, is no reason to end what runs.
 */
export function isSameProgram(place: CommandPlace, unit: Unit, { run, programIdentity: earlier }: RunRecord): boolean {
  if (earlier === undefined) return true;
  try {
    return bareCommand(place, { unit, argv: unit.run, run }).program.identity === earlier;
  } catch {
    return true;
  }
}

export interface LimitedRequest extends UnitCommandRequest {
  /** Folder of the run's cgroup: the command may enter it by itself. */
  readonly cgroup: string | undefined;
  /** Told when a limit cannot be set. */
  readonly notice: (text: string) => void;
}

export interface UnitCommand extends BareCommand {
  /** The command itself enters the cgroup, sets the OOM score and changes the user: nobody else has to. */
  readonly isComplete: boolean;
}

/** With the unit's limits. @throws as `bareCommand` */
export function unitCommand(place: CommandPlace, request: LimitedRequest): UnitCommand {
  const { cgroup, notice, unit } = request;
  const { account, env, cwd, program, file, args } = bareCommand(place, request);
  const limited = limitedCommand({
    command: confinedCommand({
      command: { file, args },
      limits: unit.limits,
      account,
      cwd,
      searchPath: env['PATH'],
      notice,
    }),
    limits: unit.limits,
    account,
    cgroup,
    searchPath: env['PATH'],
    notice,
  });
  return { ...limited, program, env, cwd, account: limited.isComplete ? undefined : account };
}
