/**
 * Keeps a node that is silent from being called Ready while no kube-controller-manager lives: whose kubelet has died
 * cannot take its word back, and it is only Kubernetes' node lifecycle controller that does it otherwise.
 *
 * Every server looks, whoever else does: what is written is the same, and only over what was read, so that neither
 * another server nor a kubelet that is back is written over. At rest it is one small list every 5 or 10 s. A node without a
 * Lease is never judged.
 *
 * Its pods are written, too: a controller-manager that is back does it for none whose end it has not seen. Taints and
 * evictions are left to it: it goes by the conditions once one lives.
 */
import { jitteredMs } from '../../kernel/backoff.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import { messageOf } from '../../kernel/message-of.ts';
import { saidOnce } from '../../kernel/said-once.ts';
import { apiInTime } from '../api-in-time.ts';
import {
  controllerLeasePath,
  controllerLostForMs,
  lostAfterMs,
  nodeLeasesPath,
  readLeases,
  silentNodes,
  type ReadLeases,
} from './judge-nodes.ts';
import { afterLook, longestStillMs, nothingLooked } from './lease-history.ts';
import type { NodeConditionsClient } from './mark-node.ts';
import { silentNodeMarker } from './mark-silent-nodes.ts';

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

const usualRestMs = 10_000;
/** While no controller-manager lives. Source: Kubernetes `--node-monitor-period`. */
const watchMs = 5_000;
/** After a look that came to nothing: with the pause before it and its limit still no gap. */
const againMs = 2_000;
/** For a list. */
const answerWithinMs = 5_000;

/** With a short grace what was seen counts no more after a look's pause, one that hangs and the pause after it: 18.2 s. */
const restMsFor = (graceMs: number): number => (longestStillMs(graceMs) < 2 * usualRestMs ? watchMs : usualRestMs);

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function keepNodeConditions(ports: NodeConditionsPorts): Promise<never> {
  const { connect, graceMs, clock, random, log, signal } = ports;
  const say = saidOnce(log);
  const markSilent = silentNodeMarker(ports);
  const restMs = restMsFor(graceMs);
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

  try {
    for (;;) {
      await sleep(clock, jitteredMs(pauseMs, 0.1, random), signal);
      try {
        const api = (client ??= await connect());
        const controller = await listed(api, controllerLeasePath);
        const keepMs = Math.max(graceMs, lostAfterMs(controller)) + restMs;
        history = afterLook(history, { ...controller, endedMs: clock.monotonicMs() }, { keepMs, graceMs });
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
        say(undefined);
        if (lostMs === undefined) continue;
        const nodes = await listed(api, nodeLeasesPath);
        await markSilent(api, silentNodes(history, nodes, { ...nodes, graceMs }), nodes.startedMs);
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
