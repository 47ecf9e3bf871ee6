/** Leaves a unix socket behind, as a killed process does. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** A real process listens on `socketPath` and is killed; resolves when it is gone. */
export async function runFixture(socketPath: string): Promise<void> {
  const script = `require('node:net').createServer().listen(process.argv[1], () => process.stdout.write('up'))`;
  const child = spawn(process.execPath, ['-e', script, socketPath], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await exited;
}
