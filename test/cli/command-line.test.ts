/** What a mistake on the command line is answered with: the same shape for each, and never without a way on. */
import { expect, test } from 'vitest';
import { runCommandLine } from '../../src/cli/command-line.ts';
import { capturedIo } from '../kit/captured-io.ts';

async function say(...argv: string[]): Promise<{ readonly code: number; readonly err: string }> {
  const { io, err } = capturedIo();
  const code = await runCommandLine(argv, { ...io, hasLostOutput: () => Promise.resolve(false) });
  return { code, err: err() };
}

const mistakes: readonly (readonly [argv: string[], said: string, hint: string])[] = [
  [['statsu'], 'there is no command "statsu"; did you mean "status"?', '`k3s-lite --help` lists all commands'],
  [['zzzzzz'], 'there is no command "zzzzzz"', '`k3s-lite --help` lists all commands'],
  [['up', '--zzzzzz'], 'unknown option "--zzzzzz"', '`k3s-lite up --help` lists what it takes'],
  [['status', '--wid'], 'unknown option "--wid"; did you mean --wide?', '`k3s-lite status --help` lists what it takes'],
  [['--zzzzzz'], 'unknown option "--zzzzzz"', '`k3s-lite --help` lists what it takes'],
  [['why'], 'missing required argument "unit"', '`k3s-lite why --help` lists what it takes'],
  [
    ['down', 'etcd'],
    'too many arguments for "down". Expected 0 arguments but got 1.',
    '`k3s-lite down --help` lists what it takes',
  ],
  [['up', '--data-dir'], 'option "--data-dir <dir>" argument missing', '`k3s-lite up --help` lists what it takes'],
];

test.each(mistakes)('%j', async (argv, said, hint) => {
  expect(await say(...argv)).toEqual({ code: 2, err: `k3s-lite: ${said}\n  hint: ${hint}\n` });
});
