/**
 * What is made at its first use: a schema or a module of Node.js's own that not every start needs before its
 * first process. Making one object of a schema takes some 40 µs, loading `net` some 5 ms.
 */
export function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** `node:net`, synchronously and not before it is used. */
export const net = lazily(() => process.getBuiltinModule('node:net'));

/** `node:fs/promises`, likewise. */
export const fsPromises = lazily(() => process.getBuiltinModule('node:fs/promises'));
