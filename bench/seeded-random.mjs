/** Park and Miller's generator: the same numbers in every run. @param {number} seed 1 … 2147483646 */
export function seededRandom(seed) {
  let state = seed;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
}
