/**
 * A strict reader of the text format of Prometheus 0.0.4, for tests: every line by the grammar, and what
 * `promtool check metrics` complains of. Source: https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import { expect } from 'vitest';

export interface ReadSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ((?:[^\\\n]|\\\\|\\n)+)$/;
const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)$/;
const sample =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*",?)*)\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|NaN|[+-]Inf)$/;
const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"/g;
const baseUnits = /_(?:seconds|bytes|info|total|ready|state|generation)(?:_total)?$/;

/** Reads all samples; fails the test at the first line that is not by the rules. */
export function readExposition(text: string): readonly ReadSample[] {
  expect(text.endsWith('\n'), 'ends with a line feed').toBe(true);
  const samples: ReadSample[] = [];
  const seen = new Set<string>();
  const metrics = new Set<string>();
  let present = '';
  let pendingHelp = '';
  let presentType = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const [, helped] = help.exec(line) ?? [];
    if (helped !== undefined) {
      pendingHelp = helped;
      continue;
    }
    const [, typed, kind = ''] = type.exec(line) ?? [];
    if (typed !== undefined) {
      expect(pendingHelp, 'HELP before TYPE').toBe(typed);
      expect(metrics.has(typed), `${typed} in one group`).toBe(false);
      expect(typed, 'a unit or a kind at the end of the name').toMatch(baseUnits);
      expect(typed.endsWith('_total'), `${typed}: counters alone end with _total`).toBe(kind === 'counter');
      metrics.add(typed);
      [present, presentType] = [typed, kind];
      continue;
    }
    const [, name = '', labelText = '', value = ''] = sample.exec(line) ?? [];
    expect(name, `by the grammar: ${line}`).not.toBe('');
    expect(name, 'samples follow their TYPE').toBe(present);
    const identity = line.slice(0, line.lastIndexOf(' '));
    expect(seen.has(identity), `twice: ${identity}`).toBe(false);
    seen.add(identity);
    const unescape = (escaped: string) =>
      escaped.replace(/\\(.)/g, (_match, letter: string) => (letter === 'n' ? '\n' : letter));
    const labels = Object.fromEntries(
      [...labelText.matchAll(label)].map(([, key = '', escaped = '']) => [key, unescape(escaped)]),
    );
    const number = Number(value);
    if (presentType === 'counter') expect(number, `${identity} counts up`).toBeGreaterThanOrEqual(0);
    samples.push({ name, labels, value: number });
  }
  return samples;
}
