/** Ends an exhaustive switch: does not compile while a case is missing, throws "internal error" if one slips through. */
export function unreachable(value: never): never {
  throw new Error(`internal error: unexpected ${JSON.stringify(value)}`);
}
