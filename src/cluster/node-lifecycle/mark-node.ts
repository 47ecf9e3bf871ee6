/**
 * Writes of one node that nobody believes what its kubelet has said, and of its pods that they are not Ready: in
 * this order, as the node lifecycle controller of Kubernetes does.
 *
 * Each only over what was read, and after one more look at its Lease: what was judged may be some seconds old.
 */
import type { Clock } from '../../kernel/clock.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import { isoSecond } from '../../kernel/iso-second.ts';
import { messageOf } from '../../kernel/message-of.ts';
import { isConflict, unlessMissing, type KubeClient } from '../kube-client.ts';
import { nodeLeasePath, readLeases, type SilentNode } from './judge-nodes.ts';
import { notReadyPods, podsOfNodePath, podStatusPath } from './not-ready-pods.ts';
import { withUnknownConditions, type ReadNode } from './unknown-conditions.ts';

export type NodeConditionsClient = Pick<KubeClient, 'get' | 'create' | 'replace'> & Disposable;

export interface MarkNodePorts {
  readonly client: NodeConditionsClient;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** For the pods of a node at a time: those that are left are for the next look. */
const podsWithinMs = 3_000;

/**
 * - `spoken`: its Lease was renewed, its kubelet posted a status, or somebody else wrote it: it is left alone
 * - `gone`: there is no such Node
 * - `pods-left`: it is Unknown, and not each of its pods could be written yet
 * - `unknown`: all is written, now or earlier
 */
export type MarkOutcome = 'spoken' | 'gone' | 'pods-left' | 'unknown';

/**
 * @param isSpared - it has been believed so shortly that only the pods of one that is Unknown still are written
 * @param marked - called as soon as the Node itself is written
 * @throws KubeApiError what the API refused, other than for a write in between
 */
export async function markNode(
  node: SilentNode,
  isSpared: boolean,
  marked: () => void,
  ports: MarkNodePorts,
): Promise<MarkOutcome> {
  const { client, clock, signal } = ports;
  const path = `/api/v1/nodes/${node.name}`;
  const read = await unlessMissing(client.get(path, signal));
  if (read === undefined) return 'gone';
  const changed = withUnknownConditions(read, clock.wallMs());
  if (changed !== undefined && isSpared) return 'spoken';
  const { leases } = readLeases(await client.get(nodeLeasePath(node.name), signal));
  if (leases[0]?.version !== node.version) return 'spoken';
  if (changed !== undefined) {
    if (!(await isWritten(client.replace(`${path}/status`, changed, signal)))) return 'spoken';
    marked();
    await tell(node, changed, ports);
  }
  return (await markPods(node.name, ports)) ? 'unknown' : 'pods-left';
}

/** False: it was written meanwhile. */
async function isWritten(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (isConflict(error)) return false;
    throw error;
  }
}

/** Resolves with whether none is left. */
async function markPods(name: string, { client, clock, log, signal }: MarkNodePorts): Promise<boolean> {
  const untilMs = clock.monotonicMs() + podsWithinMs;
  const pods = notReadyPods(await client.get(podsOfNodePath(name), signal), name, clock.wallMs());
  const refused: unknown[] = [];
  let count = 0;
  for (const pod of pods) {
    if (clock.monotonicMs() > untilMs) break;
    try {
      // One that is gone is not Ready either.
      if (await isWritten(unlessMissing(client.replace(podStatusPath(pod), pod, signal)))) count += 1;
    } catch (error) {
      signal.throwIfAborted();
      refused.push(error);
    }
  }
  if (count > 0) log(`pods of node ${name} are not called Ready any more: ${String(count)}`);
  if (refused.length > 0) throw refused[0];
  return count === pods.length;
}

async function tell(
  { name, silentMs }: SilentNode,
  node: ReadNode,
  { client, clock, log, signal }: MarkNodePorts,
): Promise<void> {
  const why = `its Lease has stood still for ${formatDurationMs(silentMs)}, and no kube-controller-manager lives to say so`;
  log(`node ${name} is not believed to be Ready any more: ${why}`);
  const event = markedEvent(node, `Node ${name} status is now: NodeNotReady (${why})`, clock.wallMs());
  try {
    await client.create(eventsPath, event, signal);
  } catch (error) {
    signal.throwIfAborted();
    log(`the event of node ${name} could not be made: ${messageOf(error)}`);
  }
}

/** Of what has no namespace. Source: Kubernetes, client-go `tools/record`. */
const eventsPath = '/api/v1/namespaces/default/events';

/** As Kubernetes' controller tells of it. Source: `RecordNodeStatusChange`. */
function markedEvent({ metadata: { name, uid } }: ReadNode, message: string, wallMs: number): object {
  const at = isoSecond(wallMs);
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { generateName: `${name}.`, namespace: 'default' },
    involvedObject: { apiVersion: 'v1', kind: 'Node', name, ...(uid === undefined ? {} : { uid }) },
    reason: 'NodeNotReady',
    message,
    type: 'Normal',
    source: { component: 'k3s-lite' },
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
  };
}
