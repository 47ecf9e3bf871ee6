/** One configuration file: every flag is a key. A mistake is told with file, line and column. */
import { readFileSync } from 'node:fs';
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { StartupError } from '../error/startup-error.ts';
import { unknownFlag, type FlagValues } from './flag-values.ts';
import { upFlags, type Flag } from './flags.ts';
import { messageOf } from '../kernel/message-of.ts';

/** @throws StartupError ERR_CONFIG with the place of the first mistake, or if it cannot be read */
export function readConfigurationFile(file: string): FlagValues {
  const lines = new LineCounter();
  const document = parseDocument(textOf(file), { lineCounter: lines });
  const at = (offset: number | undefined) => {
    const { line, col } = lines.linePos(offset ?? 0);
    return `${file}:${String(line)}:${String(col)}`;
  };
  const [broken] = document.errors;
  if (broken !== undefined)
    throw new StartupError('ERR_CONFIG', `${at(broken.pos[0])}: ${broken.message.split('\n')[0] ?? ''}`, { file });
  if (document.contents === null) return {};
  if (!isMap(document.contents))
    throw new StartupError('ERR_CONFIG', `${at(0)}: expected keys and values, one flag a line`, { file });
  const known = new Map(upFlags.map((flag) => [flag.name, flag]));
  const values: Record<string, string | readonly string[] | boolean> = {};
  const plainMap = document.toJS() as Record<string, unknown>;
  for (const { key } of document.contents.items as { key: unknown }[]) {
    const name = isScalar(key) ? String(key.value) : '';
    const place = at(isScalar(key) ? key.range?.[0] : undefined);
    const flag = known.get(name);
    if (flag === undefined) throw unknownFlag(`${place}: key "${name}"`, name, known.keys());
    const plain = plainMap[name];
    values[name] = plainValue(flag, plain, place);
  }
  return values;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const reason = messageOf(error);
    throw new StartupError(
      'ERR_CONFIG',
      `cannot read the configuration ${file}: ${reason}`,
      { file },
      { cause: error },
    );
  }
}

function plainValue(flag: Flag, plain: unknown, place: string): string | readonly string[] | boolean {
  const isPlain = (item: unknown): item is string | number => typeof item === 'string' || typeof item === 'number';
  if (flag.list === true && Array.isArray(plain) && plain.every(isPlain)) return plain.map(String);
  if (flag.list === true && isPlain(plain)) return [String(plain)];
  if (flag.list !== true && flag.value !== undefined && isPlain(plain)) return String(plain);
  if (flag.value === undefined && typeof plain === 'boolean') return plain;
  const expected =
    flag.list === true ? 'a list of texts' : flag.value === undefined ? 'true or false' : 'a text or number';
  throw new StartupError('ERR_CONFIG', `${place}: ${flag.name} must be ${expected}`, { place });
}
