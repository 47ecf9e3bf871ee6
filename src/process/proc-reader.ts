/**
 * What /proc says of processes, as a port: a test can hand out reused pids, which the kernel does
 * only once in many thousand forks. Everything is synchronous: /proc never blocks on a disk.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';

/** Identity and place of a process. A pid alone is reused; with its start time it is unique until reboot. */
export interface ProcStat {
  readonly pid: number;
  /** One letter: R, S, D, Z… Source: proc(5). */
  readonly state: string;
  readonly ppid: number;
  readonly pgrp: number;
  readonly session: number;
  /** Clock ticks from boot to its start. */
  readonly startTicks: number;
  /** Threads that have not ended; 1 when unknown. */
  readonly threads?: number;
}

export interface ProcReader {
  pids(): readonly number[];
  /** Undefined when there is no such process. */
  stat(pid: number): ProcStat | undefined;
  /**
   * Value of a variable in the environment that the process was started with; undefined when it is unset there or
   * unreadable, '' when there is no environment: of a kernel thread, or at the moment in which another program begins.
   */
  environ(pid: number, name: string): string | undefined;
  /** Changes at each boot of the machine. */
  bootId(): string;
}

/** A process as we remember it: signals go only to a pid that still has this start time. */
export interface ProcessId {
  readonly pid: number;
  readonly startTicks: number;
}

/** Environments longer than this are not read to their end; our variable is put first. */
const maxEnviron = 1 << 20;

export function parseStat(text: string): ProcStat | undefined {
  // The name in parentheses may itself hold spaces and parentheses: count from the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, ppid, pgrp, session] = fields;
  const startTicks = fields[19];
  if (state === undefined || startTicks === undefined) return undefined;
  return {
    pid: Number.parseInt(text, 10),
    state,
    ppid: Number(ppid),
    pgrp: Number(pgrp),
    session: Number(session),
    startTicks: Number(startTicks),
    threads: Number(fields[17] ?? 1),
  };
}

export const systemProc: ProcReader = createSystemProc();

function createSystemProc(): ProcReader {
  let bootId: string | undefined;
  let buffer = Buffer.alloc(0);

  /** Into one buffer that is used again: a search reads some hundred of these files at once. */
  const readFile = (pid: number, name: string, maxBytes: number): Buffer | undefined => {
    if (buffer.length === 0) buffer = Buffer.allocUnsafe(1 << 16);
    let fd: number | undefined;
    try {
      fd = openSync(`/proc/${String(pid)}/${name}`, 'r');
      let length = 0;
      for (;;) {
        const read = readSync(fd, buffer, length, buffer.length - length, null);
        length += read;
        if (read === 0 || length >= maxBytes) return buffer.subarray(0, length);
        if (length === buffer.length) buffer = Buffer.concat([buffer], buffer.length * 2);
      }
    } catch (error) {
      // ENOENT, ESRCH: it has ended. EACCES, EPERM: not ours to read. Anything else (EMFILE) says nothing of it.
      const code = (error as NodeJS.ErrnoException).code ?? '';
      if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(code)) return undefined;
      throw error;
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  };

  return {
    pids: () =>
      readdirSync('/proc')
        .map(Number)
        .filter((pid) => pid > 0),
    stat(pid) {
      // One line that one read gives whole.
      const bytes = readFile(pid, 'stat', 1);
      return bytes === undefined || bytes.length === 0 ? undefined : parseStat(bytes.toString('latin1'));
    },
    environ(pid, name) {
      const environ = readFile(pid, 'environ', maxEnviron);
      if (environ === undefined || environ.length === 0) return environ && '';
      const prefix = `${name}=`;
      let from = 0;
      if (!environ.subarray(0, prefix.length).equals(Buffer.from(prefix))) {
        const at = environ.indexOf(`\0${prefix}`);
        if (at < 0) return undefined;
        from = at + 1;
      }
      const end = environ.indexOf(0, from);
      return environ.toString('utf8', from + prefix.length, end < 0 ? environ.length : end);
    },
    bootId: () => (bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
  };
}

/** The program that a process was started as (the first word of its command line); undefined when unreadable. */
export function programOf(pid: number): string | undefined {
  try {
    const [program = ''] = readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').split('\0');
    return program === '' ? undefined : program;
  } catch {
    return undefined;
  }
}

/** Alive: it exists, is the same process as remembered, and is no zombie. */
export function isAlive(proc: ProcReader, { pid, startTicks }: ProcessId): boolean {
  const stat = proc.stat(pid);
  return stat?.startTicks === startTicks && !isDead(stat);
}

/**
 * A zombie has ended; only its parent has not looked yet. Not so one whose first thread alone has
 * ended: until the others have, it holds its ports and files.
 */
export function isDead({ state, threads = 1 }: ProcStat): boolean {
  return (state === 'Z' && threads <= 1) || state === 'X' || state === 'x';
}

/** Numbers of processes are below it, here and now; 0 when that is not known. */
export function pidMax(): number {
  try {
    return Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8'));
  } catch {
    return 0;
  }
}
