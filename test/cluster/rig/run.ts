/** Programs of this machine, run to their end. */
import { spawnSync } from 'node:child_process';

export interface Ran {
  readonly code: number;
  readonly output: string;
}

export function run([program = '', ...args]: readonly string[]): Ran {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 });
  if (error !== undefined) throw error;
  return { code: status ?? -1, output: `${stdout}${stderr}` };
}

/** @throws an Error with the output of what failed */
export function must(...argv: readonly string[]): string {
  const { code, output } = run(argv);
  if (code !== 0) throw new Error(`${argv.join(' ')}: ${output}`);
  return output;
}
