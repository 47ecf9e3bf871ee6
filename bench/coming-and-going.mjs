/**
 * Servers that leave a balancer's list and come into it, while others may stay all the time. Which of
 * them leaves and when is drawn by a seed, so that a run can be repeated.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from './seeded-random.mjs';

/** Between two changes of the list. */
const changeMs = { least: 1_000, most: 4_000 };
/** How many of those that come and go are listed. */
const listed = { least: 2, most: 4 };
/** Longer than a removed server is given to let its connections end. Source: the balancer's graceRemoved. */
const leaveMs = 6_000;

/**
 * @param proxy our balancer, which has all of them in its list
 * @param {{staying?: readonly object[], coming: readonly object[]}} servers of the scene
 * @param onChange called before each change
 * @returns how often the list was changed, when `signal` has been aborted
 */
async function comeAndGo(scene, proxy, { staying = [], coming }, { seed, signal, onChange = () => undefined }) {
  const random = seededRandom(seed);
  const below = (count) => Math.floor(random() * count);
  let present = [...coming];
  for (let changes = 0; ; changes++) {
    const isOver = await sleep(changeMs.least + random() * (changeMs.most - changeMs.least), false, { signal }).catch(
      () => true,
    );
    if (isOver) return changes;
    onChange();
    // One of three: a server comes, one leaves, or both at once.
    const kind = below(3);
    const leaving = kind === 0 && present.length < listed.most ? undefined : present[below(present.length)];
    const doesCome = kind !== 1 || present.length <= listed.least;
    present = [...present.filter((one) => one !== leaving), ...(doesCome ? [await scene.server()] : [])];
    await proxy.update([...staying, ...present]);
    if (leaving !== undefined) sleep(leaveMs).then(() => leaving.child.kill('SIGTERM'));
  }
}

/**
 * As {@link comeAndGo} for as long as a load lasts.
 *
 * @template T
 * @param {() => Promise<T>} load
 * @returns {Promise<{ loaded: T, changes: number }>}
 */
export async function whileComingAndGoing(scene, proxy, servers, how, load) {
  const end = new AbortController();
  const changes = comeAndGo(scene, proxy, servers, { ...how, signal: end.signal });
  // Awaited below: what ends it early must not end this process before its scene is taken down.
  changes.catch(() => undefined);
  const loaded = await load().finally(() => end.abort());
  return { loaded, changes: await changes };
}
