export async function claimDataDirectory(_: unknown): Promise<AsyncDisposable> {
  return Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() });
}
