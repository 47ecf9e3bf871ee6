/** SIGINT and SIGTERM as an AbortSignal for one command. `up` listens to signals itself. */
import { exitCode, type ExitCode } from '../error/codes.ts';

export interface Interruption extends Disposable {
  readonly signal: AbortSignal;
  exitCode(): ExitCode;
}

export function interruption(): Interruption {
  const controller = new AbortController();
  let code: ExitCode = exitCode.interrupted;
  const onInterrupt = () => {
    controller.abort(new Error('interrupted'));
  };
  const onTerminate = () => {
    code = exitCode.terminated;
    controller.abort(new Error('terminated'));
  };
  process.once('SIGINT', onInterrupt);
  process.once('SIGTERM', onTerminate);
  return {
    signal: controller.signal,
    exitCode: () => code,
    [Symbol.dispose]: () => {
      process.off('SIGINT', onInterrupt);
      process.off('SIGTERM', onTerminate);
    },
  };
}
