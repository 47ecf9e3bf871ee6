/**
 * `limits` of a unit: Node.js cannot set any for a child, so another program sets them and becomes
 * the unit's program (same pid). Best is `k3s-lite-init exec`: it enters the cgroup and changes the
 * user too, so the program never ran without. Where it is not on PATH, prlimit(1) sets
 * `nofile` and the layer does the rest right after the spawn.
 *
 * What the system refuses is told and left out: a limit is clamped to our hard limit, never a reason to fail.
 */
import { readFileSync } from 'node:fs';
import type { Unit } from '../unit/schema.ts';
import type { Account } from './account.ts';
import { tryFindProgram } from './find-program.ts';

interface Command {
  readonly file: string;
  readonly args: readonly string[];
}

export interface LimitedCommand extends Command {
  /** The command itself enters the cgroup, sets the OOM score and changes the user: nobody else has to. */
  readonly isComplete: boolean;
}

export interface LimitsRequest {
  readonly command: Command;
  readonly limits: Unit['limits'];
  readonly account: Account | undefined;
  /** Folder of the run's cgroup. */
  readonly cgroup: string | undefined;
  readonly searchPath: string | undefined;
  /** Told when a limit cannot be set. */
  readonly notice: (text: string) => void;
}

export function limitedCommand(request: LimitsRequest): LimitedCommand {
  const { command, limits, account, cgroup, searchPath, notice } = request;
  const nofile = limits?.nofile === undefined ? undefined : wantedOpenFiles(limits.nofile);
  const oomScore = limits?.oomScoreAdjust;
  if (nofile === undefined && oomScore === undefined) return { ...command, isComplete: false };
  const init = tryFindProgram('k3s-lite-init', searchPath);
  if (init !== undefined) {
    const words = [
      ...(cgroup === undefined ? [] : [`--cgroup=${cgroup}`]),
      ...(nofile === undefined ? [] : [`--nofile=${String(nofile)}`]),
      ...(oomScore === undefined ? [] : [`--oom-score-adj=${String(oomScore)}`]),
      ...(account === undefined ? [] : [`--user=${String(account.uid)}:${String(account.gid)}`]),
    ];
    return { file: init, args: ['exec', ...words, '--', command.file, ...command.args], isComplete: true };
  }
  if (nofile === undefined) return { ...command, isComplete: false };
  const prlimit = tryFindProgram('prlimit', searchPath);
  if (prlimit === undefined) {
    notice('limits.nofile is not set: neither k3s-lite-init nor the program prlimit (package util-linux) is there');
    return { ...command, isComplete: false };
  }
  return {
    file: prlimit,
    args: [`--nofile=${String(nofile)}:`, command.file, ...command.args],
    isComplete: false,
  };
}

/** Undefined when it is what a child has anyway: Node.js raises its own soft limit to the hard one, and children inherit that. */
function wantedOpenFiles(nofile: number): number | undefined {
  const present = openFiles();
  const wanted = Math.min(nofile, present.hard);
  return wanted === present.soft ? undefined : wanted;
}

function openFiles(): { readonly soft: number; readonly hard: number } {
  try {
    const [, soft, hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return { soft: asLimit(soft), hard: asLimit(hard) };
  } catch {
    return { soft: Number.POSITIVE_INFINITY, hard: Number.POSITIVE_INFINITY };
  }
}

const asLimit = (text: string | undefined) =>
  text === undefined || text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text);
