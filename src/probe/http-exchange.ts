/** One GET on a connection and its answer. */
import type { Socket } from 'node:net';
import { abortError, onAbort } from '../kernel/abort.ts';
import { readAnswer, type HttpAnswer } from './http-answer.ts';

export interface HttpQuestion {
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly wantsBody: (status: number) => boolean;
}

/**
 * The socket may still be connecting; it is the caller's to end, whatever comes.
 *
 * @throws ProbeFailure when it is not HTTP; the socket's error; the reason of `signal`
 */
export function askHttp(socket: Socket, question: HttpQuestion, signal: AbortSignal): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(abortError(signal));
      return;
    }
    let text = '';
    const settle = () => {
      abort[Symbol.dispose]();
      socket.off('data', onData);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
      socket.off('error', onError);
    };
    const onError = (error: Error) => {
      settle();
      reject(error);
    };
    const look = (hasEnded: boolean) => {
      try {
        const answer = readAnswer({ text, hasEnded }, question.wantsBody);
        if (answer === undefined) return;
        settle();
        resolve(answer);
      } catch (error) {
        onError(error as Error);
      }
    };
    const onData = (bytes: Buffer) => {
      text += bytes.toString('latin1');
      look(false);
    };
    const onEnd = () => {
      look(true);
    };
    const abort = onAbort(signal, () => {
      onError(abortError(signal));
    });
    socket.on('data', onData);
    socket.on('end', onEnd);
    // Destroyed without an end or an error: as it may be by the one who owns it.
    socket.on('close', onEnd);
    socket.on('error', onError);
    socket.write(requestText(question), 'latin1');
  });
}

function requestText({ path, headers }: HttpQuestion): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
