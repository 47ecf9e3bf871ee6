/** A client of the API server that never pauses. */
import path from 'node:path';
import { clientProcess } from './client-process.ts';

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

export function steadyClient({ dataDir, port, enter }: SteadyClientOptions): SteadyClient {
  const failures: string[] = [];
  let answers = 0;
  const client = clientProcess({
    script: 'ask-steadily.mjs',
    tls: path.join(dataDir, 'server/tls'),
    port,
    enter,
    onLine(line) {
      if (line === 'ok') answers += 1;
      else failures.push(line);
    },
  });
  return {
    answers: () => answers,
    async end() {
      await client.end();
      return failures;
    },
    [Symbol.dispose]: client[Symbol.dispose],
  };
}
