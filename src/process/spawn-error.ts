/** Why a program could not be started: a plain Error with the errno name as `code`, as Node.js makes them. */
export function spawnFailure(code: string, message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, cause === undefined ? {} : { cause }), { code });
}

/** The errno name of a caught error. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}
