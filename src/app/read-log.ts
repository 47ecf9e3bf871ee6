/** Output of a unit from its files, whoever wrote it and when: also of earlier generations, also when nothing runs. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { StartupError } from '../error/startup-error.ts';
import { nearestName } from '../kernel/nearest.ts';
import { defaultLogLimits, openLogFile } from '../process/log-file.ts';

/** The last `count` lines, oldest first, from the older copy too; empty when there is no file. */
export function lastLogLines(logDir: string, unit: string, count: number): readonly string[] {
  const file = path.join(logDir, `${unit}.log`);
  const lines = openLogFile(file, defaultLogLimits).last(count, 0, true);
  if (lines.length >= count) return lines;
  return [...openLogFile(`${file}.1`, defaultLogLimits).last(count - lines.length, 0, true), ...lines];
}

/** @throws StartupError ERR_UNKNOWN_UNIT if that unit has never written anything here, with the nearest that has */
export function requireLog(logDir: string, unit: string): void {
  const isName = /^[^/]+$/.test(unit);
  if (isName && existsSync(path.join(logDir, `${unit}.log`))) return;
  const known = existsSync(logDir)
    ? readdirSync(logDir).flatMap((name) => (name.endsWith('.log') ? [name.slice(0, -'.log'.length)] : []))
    : [];
  const nearest = nearestName(unit, known);
  const remedy = nearest === undefined ? '' : `; did you mean "${nearest}"?`;
  throw new StartupError('ERR_UNKNOWN_UNIT', `there is no log of "${unit}" in ${logDir}${remedy}`, {
    unit,
    logDir,
    known,
    ...(nearest === undefined ? {} : { nearest }),
  });
}
