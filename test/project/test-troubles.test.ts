import { expect, test } from 'vitest';
import { troublesOf } from '../../scripts/test-troubles.mjs';

const passed = { status: 'passed', fullName: 'all is well', failureMessages: [] };

test('names what failed with its first line, and what passed at the second try', () => {
  const files = [
    {
      name: '/clone/test/a.test.ts',
      status: 'passed',
      assertionResults: [
        passed,
        { status: 'passed', fullName: 'late', failureMessages: ['Error: 2100 is not below 2000\n    at a.ts:1'] },
      ],
    },
    {
      name: '/clone/test/b.test.ts',
      status: 'failed',
      assertionResults: [
        passed,
        {
          status: 'failed',
          fullName: 'room x',
          failureMessages: ['Error: no\n   at b.ts:2', 'Error: again\n   at b.ts:2'],
        },
      ],
    },
    { name: '/clone/test/c.test.ts', status: 'failed', message: 'cannot be loaded', assertionResults: [] },
  ];
  expect(troublesOf(files, '/clone')).toEqual([
    'FAILED test/b.test.ts: room x: Error: no | then: Error: again',
    'FAILED test/c.test.ts: cannot be loaded',
    'second try test/a.test.ts: late: Error: 2100 is not below 2000',
  ]);
});

test('a report without trouble has no lines', () => {
  expect(
    troublesOf([{ name: '/clone/test/a.test.ts', status: 'passed', assertionResults: [passed] }], '/clone'),
  ).toEqual([]);
});

test('of a single failed test all is told that a screen holds', () => {
  const failed = { status: 'failed', fullName: 'x', failureMessages: ['y'.repeat(5_000)] };
  const [line = ''] = troublesOf([{ name: '/clone/t.ts', status: 'failed', assertionResults: [failed] }], '/clone');
  expect(line).toHaveLength(1_200);
});

test('lines are short, and not more than somebody reads', () => {
  const failed = { status: 'failed', fullName: 'x'.repeat(1000), failureMessages: ['y'] };
  const lines = troublesOf(
    [{ name: '/clone/t.ts', status: 'failed', assertionResults: Array.from({ length: 30 }, () => failed) }],
    '/clone',
  );
  expect(lines).toHaveLength(13);
  expect(lines.at(-1)).toBe('... and 18 more');
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(240);
});
