/** A client of the API server that never pauses, as a process of its own: a busy test does not make it late. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

export interface SteadyClient extends Disposable {
  /** How often it was answered well. */
  answers(): number;
  /** Asks no more. @returns all that went wrong, one line each */
  end(): Promise<readonly string[]>;
}

export interface SteadyClientOptions {
  readonly dataDir: string;
  readonly port: number;
  /** A command that becomes the client: into another network. */
  readonly enter?: readonly string[];
}

export function steadyClient({ dataDir, port, enter = [] }: SteadyClientOptions): SteadyClient {
  const script = path.join(import.meta.dirname, 'ask-steadily.mjs');
  const argv = [...enter, process.execPath, script, path.join(dataDir, 'server/tls'), String(port)];
  const [program = '', ...args] = argv;
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  const failures: string[] = [];
  let answers = 0;
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line === 'ok') answers += 1;
    else failures.push(line);
  });
  return {
    answers: () => answers,
    async end() {
      child.stdin.end();
      await ended;
      return failures;
    },
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  };
}
