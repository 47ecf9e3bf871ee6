/**
 * Handles one input after the other: what is given while one is being handled waits for its turn. So a
 * handler is never entered twice, and all that follows from an input is done before the next is taken.
 */
export function oneByOne<T extends object>(handle: (input: T) => void): (input: T) => void {
  const queue: T[] = [];
  let isBusy = false;
  return (input) => {
    queue.push(input);
    if (isBusy) return;
    isBusy = true;
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) handle(next);
    } finally {
      isBusy = false;
    }
  };
}
