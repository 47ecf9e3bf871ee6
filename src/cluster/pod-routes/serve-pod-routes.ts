/**
 * The service behind units/member/pod-routes.yaml: keeps a route to the pods of each other node.
 * While the API is away, routes stay: the nodes most probably do too.
 */
import type { Clock } from '../../kernel/clock.ts';
import { saidOnce } from '../../kernel/said-once.ts';
import { followNodes, type NodesClient } from '../follow-nodes.ts';
import type { KeptRoutes } from './kernel-routes.ts';
import { routeTo, wantedRoutes, type WantedRoute } from './wanted-routes.ts';

export interface ServePodRoutesOptions {
  readonly nodeName: string;
  readonly connect: () => Promise<NodesClient>;
  /** Network of all pods; asked each time, because an agent is told it when it joins. */
  readonly clusterCidr: () => Promise<string>;
  readonly keep: (wanted: readonly WantedRoute[]) => Promise<KeptRoutes>;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  /** To whoever supervises: "READY=1", "STATUS=…". */
  readonly notify: (...lines: readonly string[]) => void;
  readonly signal: AbortSignal;
}

/** A link that went down and came back has lost its routes. Source: flannel looks at its routes as often. */
const rescanMs = 10_000;

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function servePodRoutes(options: ServePodRoutesOptions): Promise<never> {
  const { nodeName, connect, clusterCidr, keep, clock, log, notify, signal } = options;
  let wanted: readonly WantedRoute[] | undefined;
  let isReady = false;
  const say = saidOnce(log);
  return followNodes({
    connect,
    digest: (node) => JSON.stringify(routeTo(node) ?? {}),
    async onNodes(nodes) {
      wanted = wantedRoutes(nodes, { own: nodeName, clusterCidr: await clusterCidr() });
      const { refused, changes } = await keep(wanted);
      if (changes > 0) log(`other nodes’ pods: ${String(wanted.length)} routes are wanted, ${String(changes)} changed`);
      const status = statusOf(wanted, refused);
      say(refused.size === 0 ? undefined : status);
      notify(...(isReady ? [] : ['READY=1']), `STATUS=${status}`);
      isReady = true;
    },
    async onAway(reason, times) {
      say(`the nodes cannot be read: ${reason}; routes stay as they are`);
      notify(`STATUS=the nodes cannot be read: ${reason}`);
      // The kernel may have dropped them meanwhile.
      if (wanted !== undefined && times > 1) await keep(wanted).catch(() => undefined);
    },
    rescanMs,
    clock,
    signal,
  });
}

function statusOf(routes: readonly WantedRoute[], refused: ReadonlyMap<string, string>): string {
  const lost = routes.filter(({ to }) => refused.has(to));
  const [first] = lost;
  const all = `${String(routes.length)} other ${routes.length === 1 ? 'node' : 'nodes'}`;
  if (first === undefined) return routes.length === 0 ? 'no other node yet' : `pods of ${all} are routed`;
  const reason = refused.get(first.to) ?? '';
  return `pods of ${String(lost.length)} of ${all} cannot be reached: ${first.node} at ${first.via}: ${reason}; nodes must share a network segment`;
}
