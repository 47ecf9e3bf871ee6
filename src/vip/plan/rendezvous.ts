/**
 * Rendezvous hashing: a number for each pair of an address and a node, the same in every process. It
 * decides only between what is equally good otherwise, so that every planner comes to the same plan.
 *
 * Source: Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous" (1996); the mixing is
 * MurmurHash3's finalizer.
 */

/** Of a name, 32 bits (FNV-1a). */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return mixed(hash);
}

/** How much an address belongs to a node, by their hashes: the highest wins. */
export const rendezvousScore = (addressHash: number, nodeHash: number): number =>
  mixed(addressHash ^ Math.imul(nodeHash, 0x9e3779b1));

function mixed(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
