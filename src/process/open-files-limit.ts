/**
 * `limits.nofile`: Node.js cannot set a limit for a child, so prlimit(1) sets it and becomes the
 * program (same pid). It is clamped to our hard limit instead of failing.
 */
import { readFileSync } from 'node:fs';
import { findProgram } from './find-program.ts';

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
}

/** @param notice - told when the limit cannot be set */
export function withOpenFilesLimit(
  command: Command,
  nofile: number | undefined,
  searchPath: string | undefined,
  notice: (text: string) => void,
): Command {
  if (nofile === undefined) return command;
  const limits = readLimits();
  const wanted = Math.min(nofile, limits.hard);
  // Node.js raises its own soft limit to the hard one at its start, and children inherit that.
  if (wanted === limits.soft) return command;
  try {
    const prlimit = findProgram('prlimit', '/', searchPath);
    return { file: prlimit, args: [`--nofile=${String(wanted)}:`, command.file, ...command.args] };
  } catch {
    notice('limits.nofile is not set: the program prlimit (package util-linux) is missing');
    return command;
  }
}

function readLimits(): { readonly soft: number; readonly hard: number } {
  try {
    const [, soft, hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return { soft: asLimit(soft), hard: asLimit(hard) };
  } catch {
    return { soft: Number.POSITIVE_INFINITY, hard: Number.POSITIVE_INFINITY };
  }
}

const asLimit = (text: string | undefined) =>
  text === undefined || text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text);
