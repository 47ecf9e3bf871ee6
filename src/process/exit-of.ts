/** How a process ended, as execa tells it. */
import type { Exit } from '../error/readiness-error.ts';

interface Ended {
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
}

export function exitOf({ exitCode, signal }: Ended): Exit {
  if (exitCode !== undefined) return { kind: 'code', code: exitCode };
  return signal === undefined ? { kind: 'unknown' } : { kind: 'signal', signal };
}
