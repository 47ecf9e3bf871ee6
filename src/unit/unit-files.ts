/**
 * Finds and reads the files of a unit folder. Everything that a folder can hold instead of a plain
 * small text file (a pipe, a loop of links, a device, another encoding) is a diagnostic.
 */
import { isUtf8 } from 'node:buffer';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { diagnosticAt, type Diagnostic } from './diagnostic.ts';
import { unitNamePattern } from './scalars.ts';
import { SourceText } from './source-text.ts';
import { messageOf } from '../kernel/message-of.ts';

/** A unit file has a few dozen lines; whatever is larger than this was not meant to be one. */
export const maxUnitFileBytes = 256 * 1024;

type Report = (diagnostic: Diagnostic) => void;

/** Unit name (a template's ends in `@`) to its text. */
export function readUnitFolder(folder: string, report: Report): Map<string, SourceText> {
  const units = new Map<string, SourceText>();
  const names = listFolder(folder, report);
  if (names === undefined) return units;
  for (const fileName of names) {
    const file = path.join(folder, fileName);
    if (fileName.endsWith('.yml')) {
      report(problem(file, 'ignored: unit files end in .yaml', { severity: 'warning', hint: 'rename it' }));
    }
    if (!fileName.endsWith('.yaml')) continue;
    const name = fileName.slice(0, -'.yaml'.length);
    if (!unitNamePattern.test(name.replace(/@$/, ''))) {
      const hint = 'lower-case letters, digits, dots and dashes; name@.yaml is a template';
      report(problem(file, `"${name}" cannot be the name of a unit`, { hint }));
      continue;
    }
    const source = readSource(file, report);
    if (source !== undefined) units.set(name, source);
  }
  if (!names.some((name) => /\.ya?ml$/.test(name))) {
    report(problem(folder, 'no unit files here', { hint: 'a unit is a file named NAME.yaml' }));
  }
  return units;
}

/** Unit name to its drop-ins in lexical order. A folder that does not exist holds none. */
export function readDropInFolder(folder: string, report: Report): Map<string, readonly SourceText[]> {
  const dropIns = new Map<string, readonly SourceText[]>();
  for (const unit of listFolder(folder, report, { optional: true }) ?? []) {
    const unitFolder = path.join(folder, unit);
    if (!isFolder(unitFolder)) {
      if (unit.endsWith('.yaml')) {
        const hint = `a drop-in lies in a folder named after its unit: ${path.join(folder, unit.slice(0, -5), 'NAME.yaml')}`;
        report(problem(unitFolder, 'ignored: not in the folder of a unit', { severity: 'warning', hint }));
      }
      continue;
    }
    const files = (listFolder(unitFolder, report) ?? []).filter((name) => name.endsWith('.yaml'));
    dropIns.set(
      unit,
      files.flatMap((name) => readSource(path.join(unitFolder, name), report) ?? []),
    );
  }
  return dropIns;
}

function listFolder(folder: string, report: Report, { optional = false } = {}): string[] | undefined {
  try {
    // Code-unit order: the same on every machine, whatever its locale.
    return readdirSync(folder)
      .filter((name) => !name.startsWith('.'))
      .sort();
  } catch (error) {
    if (optional && codeOf(error) === 'ENOENT') return undefined;
    report(problem(folder, systemText(error)));
    return undefined;
  }
}

function isFolder(file: string): boolean {
  try {
    return statSync(file).isDirectory();
  } catch {
    return false;
  }
}

function readSource(file: string, report: Report): SourceText | undefined {
  let bytes: Buffer;
  try {
    // Looked at before it is opened: opening a pipe would wait for a writer.
    const stat = statSync(file);
    if (!stat.isFile()) {
      report(problem(file, stat.isDirectory() ? 'is a folder, not a unit file' : 'is not a regular file'));
      return undefined;
    }
    if (stat.size > maxUnitFileBytes) {
      report(problem(file, `larger than a unit file may be (${String(maxUnitFileBytes / 1024)} KiB)`));
      return undefined;
    }
    bytes = readFileSync(file);
  } catch (error) {
    report(problem(file, systemText(error)));
    return undefined;
  }
  // A byte order mark is no part of the text; U+FFFD stands where a byte is not UTF-8.
  const text = bytes.toString('utf8').replace(/^\ufeff/, '');
  const source = new SourceText(file, text);
  const bad = isUtf8(bytes) ? text.search(/\u0000/) : text.indexOf('\ufffd');
  if (bad < 0) return source;
  const message = text[bad] === '\0' ? 'holds a NUL byte: this is not a text file' : 'is not UTF-8 here';
  report(diagnosticAt(source.placeOf(bad, bad + 1), { code: 'file', message, hint: 'save the file as UTF-8' }));
  return undefined;
}

const problem = (file: string, message: string, more: { severity?: 'warning'; hint?: string } = {}) =>
  diagnosticAt({ file, line: 0, column: 0 }, { code: 'file', message, ...more });

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code;

function systemText(error: unknown): string {
  switch (codeOf(error)) {
    case 'ENOENT':
      return 'does not exist';
    case 'ENOTDIR':
      return 'is not a folder';
    case 'EACCES':
      return 'permission denied';
    case 'ELOOP':
      return 'is a loop of symbolic links';
    default:
      return messageOf(error);
  }
}
