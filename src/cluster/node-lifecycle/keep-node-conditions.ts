/**
 * Keeps a node that is silent from being called Ready while no kube-controller-manager lives: whose kubelet has died
 * cannot take its word back, and it is only Kubernetes' node lifecycle controller that does it otherwise.
 *
 * Every server looks, whoever else does: what is written is the same, and only over what was read, so that neither
 * another server nor a kubelet that is back is written over. At rest it is one small list every 10 s.
 *
 * Taints, and pods on such a node, are left to the controllers: they go by the conditions once one lives.
 */
import { sleep, type Clock } from '../../kernel/clock.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import { messageOf } from '../../kernel/message-of.ts';
import { saidOnce } from '../../kernel/said-once.ts';
import { apiInTime } from '../api-in-time.ts';
import { KubeApiError, unlessMissing, type KubeClient } from '../kube-client.ts';
import {
  controllerLeasePath,
  controllerLostForMs,
  lostAfterMs,
  nodeLeasesPath,
  readLeases,
  silentNodes,
  type ReadLeases,
  type SilentNode,
} from './judge-nodes.ts';
import { afterLook, nothingLooked } from './lease-history.ts';
import { kubeTime, withUnknownConditions, type ReadNode } from './unknown-conditions.ts';

export type NodeConditionsClient = Pick<KubeClient, 'get' | 'create' | 'replace'> & Disposable;

export interface NodeConditionsPorts {
  readonly connect: () => Promise<NodeConditionsClient>;
  /** That the controller-managers of this cluster have. */
  readonly graceMs: number;
  readonly clock: Clock;
  /** [0, 1): the servers look at different times. */
  readonly random: () => number;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

const restMs = 10_000;
/** While no controller-manager lives. Source: Kubernetes `--node-monitor-period`. */
const watchMs = 5_000;
/** After a look that came to nothing: with the pause before it and its limit still no gap. */
const againMs = 2_000;
/** For a list, or for one node. */
const answerWithinMs = 5_000;

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function keepNodeConditions(ports: NodeConditionsPorts): Promise<never> {
  const { connect, graceMs, clock, random, log, signal } = ports;
  const say = saidOnce(log);
  /** When each was last seen to be believed by nobody. */
  const unknown = new Map<string, number>();
  let history = nothingLooked;
  let pauseMs = restMs;
  let client: NodeConditionsClient | undefined;
  /** The last Lease of the controller-manager that is lost. */
  let lost: { readonly version: number | undefined } | undefined;

  const listed = async (api: NodeConditionsClient, path: string): Promise<ReadLeases & { startedMs: number }> => {
    const startedMs = clock.monotonicMs();
    const limit = { limitMs: answerWithinMs, clock, signal };
    return { ...readLeases(await apiInTime(limit, (end) => api.get(path, end))), startedMs };
  };
  const markSilent = async (api: NodeConditionsClient): Promise<string | undefined> => {
    const nodes = await listed(api, nodeLeasesPath);
    const problems: string[] = [];
    for (const node of silentNodes(history, nodes, { ...nodes, graceMs })) {
      // One that has been believed again since, without a Lease, has a kubelet that lives by its status: for the grace.
      if (nodes.startedMs - (unknown.get(node.name) ?? -graceMs) < graceMs) continue;
      try {
        await mark(node, api, ports);
        unknown.set(node.name, clock.monotonicMs());
      } catch (error) {
        if (!(error instanceof KubeApiError)) throw error;
        // Somebody was faster: its kubelet, or another server. The next look shows it.
        if (error.status !== 409) problems.push(`node ${node.name} cannot be marked as silent: ${messageOf(error)}`);
      }
    }
    return problems.length === 0 ? undefined : problems.join('; ');
  };

  try {
    for (;;) {
      await sleep(clock, pauseMs * (0.9 + 0.2 * random()), signal);
      try {
        const api = (client ??= await connect());
        const controller = await listed(api, controllerLeasePath);
        const keepMs = Math.max(graceMs, lostAfterMs(controller)) + restMs;
        history = afterLook(history, { ...controller, endedMs: clock.monotonicMs() }, keepMs);
        const version = controller.leases[0]?.version;
        const lostMs = controllerLostForMs(history, controller, controller.startedMs);
        if (lost !== undefined && lost.version !== version) {
          lost = undefined;
          log('a kube-controller-manager lives: nodes are judged by it again');
        }
        if (lostMs !== undefined && lost === undefined) {
          lost = { version };
          log(lostText(lostMs));
        }
        pauseMs = lost === undefined ? restMs : watchMs;
        say(lostMs === undefined ? undefined : await markSilent(api));
      } catch (error) {
        signal.throwIfAborted();
        // What was seen still counts, if the next look is not too late: lease-history.ts knows.
        pauseMs = againMs;
        // With other credentials, should they have been renewed.
        client?.[Symbol.dispose]();
        client = undefined;
        say(`whether a kube-controller-manager lives cannot be looked at: ${messageOf(error)}`);
      }
    }
  } finally {
    client?.[Symbol.dispose]();
  }
}

const lostText = (lostMs: number): string =>
  `no kube-controller-manager has renewed its Lease for ${formatDurationMs(lostMs)}: until one does, nodes are judged here`;

/** @throws KubeApiError 409 when it was written meanwhile */
async function mark(
  { name, silentMs }: SilentNode,
  client: NodeConditionsClient,
  { clock, log, signal }: NodeConditionsPorts,
): Promise<void> {
  const limit = { limitMs: answerWithinMs, clock, signal };
  const path = `/api/v1/nodes/${name}`;
  const node = await apiInTime(limit, (end) => unlessMissing(client.get(path, end)));
  const changed = node === undefined ? undefined : withUnknownConditions(node, clock.wallMs());
  if (changed === undefined) return;
  await apiInTime(limit, (end) => client.replace(`${path}/status`, changed, end));
  const why = `its Lease has stood still for ${formatDurationMs(silentMs)}, and no kube-controller-manager lives to say so`;
  log(`node ${name} is not believed to be Ready any more: ${why}`);
  const event = markedEvent(changed, `Node ${name} status is now: NodeNotReady (${why})`, clock.wallMs());
  try {
    await apiInTime(limit, (end) => client.create(eventsPath, event, end));
  } catch (error) {
    signal.throwIfAborted();
    log(`the event of node ${name} could not be made: ${messageOf(error)}`);
  }
}

/** Of what has no namespace. Source: Kubernetes, client-go `tools/record`. */
const eventsPath = '/api/v1/namespaces/default/events';

/** As Kubernetes' controller tells of it. Source: `RecordNodeStatusChange`. */
function markedEvent({ metadata: { name, uid } }: ReadNode, message: string, wallMs: number): object {
  const at = kubeTime(wallMs);
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { generateName: `${name}.`, namespace: 'default' },
    involvedObject: { apiVersion: 'v1', kind: 'Node', name, ...(uid === undefined ? {} : { uid }) },
    reason: 'NodeNotReady',
    message,
    type: 'Normal',
    source: { component: 'k3s-lite' },
    ...{ firstTimestamp: at, lastTimestamp: at, count: 1 },
  };
}
