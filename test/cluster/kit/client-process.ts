/** A client as a process of its own, which tells line by line: a busy test does not make it late. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

export interface ClientProcess extends Disposable {
  /** Asks no more; resolves when it has told everything. */
  end(): Promise<void>;
}

export interface ClientProcessOptions {
  /** File of this folder. */
  readonly script: string;
  /** With the cluster's authority and the administrator's certificate. */
  readonly tls: string;
  readonly port: number;
  /** Of the script, behind these two. */
  readonly more?: readonly string[];
  /** A command that becomes the client: into another network. */
  readonly enter?: readonly string[] | undefined;
  readonly onLine: (line: string) => void;
}

export function clientProcess({
  script,
  tls,
  port,
  more = [],
  enter = [],
  onLine,
}: ClientProcessOptions): ClientProcess {
  const argv = [...enter, process.execPath, path.join(import.meta.dirname, script), tls, String(port), ...more];
  const [program = '', ...args] = argv;
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  createInterface({ input: child.stdout }).on('line', onLine);
  return {
    async end() {
      child.stdin.end();
      await ended;
    },
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  };
}
