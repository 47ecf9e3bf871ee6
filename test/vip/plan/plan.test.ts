import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { plan } from '../../../src/vip/plan/plan.ts';
import { caseText, readCases } from './plan-text.ts';

const file = path.join(import.meta.dirname, 'plan.golden.txt');

/** UPDATE_GOLDEN=1 writes what the planner says: read the difference before it is committed. */
const cases = readCases(readFileSync(file, 'utf8'));

describe('the golden cases', () => {
  test.each(cases.map((each) => [each.title, each] as const))('%s', (_title, each) => {
    expect(caseText(each, plan(each.input))).toBe([`# ${each.title}`, ...each.lines].join('\n'));
  });
});

if (process.env['UPDATE_GOLDEN'] === '1') {
  writeFileSync(file, `${cases.map((each) => caseText(each, plan(each.input))).join('\n\n')}\n`);
}
