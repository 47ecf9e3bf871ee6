/** Lets pieces of work run one after the other, in the order in which they were asked for. */
export type OneAtATime = <T>(work: () => Promise<T>) => Promise<T>;

export function oneAtATime(): OneAtATime {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    // How the one before has ended is its own caller's matter.
    const mine = last.then(work, work);
    last = mine.catch(() => undefined);
    return mine;
  };
}
