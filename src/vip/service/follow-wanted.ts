/**
 * What the coordinator plans for: addresses of Services and those given at the start, nodes as their
 * objects say, and what operators have asked for; each change gives a new whole.
 */
import { linkedAbort } from '../../kernel/abort.ts';
import type { Clock } from '../../kernel/clock.ts';
import { saidOnce } from '../../kernel/said-once.ts';
import { wakeablePause, type WakeablePause } from '../../kernel/wakeable-pause.ts';
import type { Wanted } from '../coordination/coordinator-model.ts';
import { keepFollowing } from '../keep-following.ts';
import type { NodeName, NodeState, VipAddress } from '../model.ts';
import type { MaintenanceWindow, WindowState } from '../plan/maintenance-window.ts';
import type { PlanPolicy } from '../plan/plan-model.ts';
import { voluntaryMoves } from '../plan/voluntary-moves.ts';
import type { AllocationPolicy } from './allocate.ts';
import { apiServerNamesName, readApiServerNames } from './api-server-names.ts';
import { followConfigMap } from './follow-config-map.ts';
import { followServices, type ServiceFollower, type ServicesView } from './follow-services.ts';
import { followWishes, type FollowWishesOptions } from './follow-wishes.ts';
import type { KubeNode } from './kube-objects.ts';
import type { ServiceApi } from './object-store.ts';
import { noWishes, stateOf, withPins, type Wishes } from './wishes.ts';

export interface FollowWantedOptions {
  readonly api: ServiceApi;
  readonly namespace: string;
  /** Addresses that are there whatever Services there are. */
  readonly fixed: readonly VipAddress[];
  /** Without a pool no Service is looked at. */
  readonly allocation: AllocationPolicy;
  readonly policy: Omit<PlanPolicy, 'mayRebalance'>;
  /** When voluntary moves may be made; undefined: at any time. */
  readonly window: MaintenanceWindow | undefined;
  readonly log: (line: string) => void;
  readonly clock: Clock;
  readonly random: () => number;
}

export interface WantedFollower {
  follow(signal: AbortSignal): AsyncIterable<Wanted>;
  /** Who holds what, to be written to the Services; undefined: another node's process does that. */
  publish: ServiceFollower['publish'];
  /** The last that was seen. */
  readonly services: ServicesView | undefined;
  readonly wishes: Wishes;
  /** Whether voluntary moves may be made now; undefined: at any time. */
  readonly window: WindowState | undefined;
  /** What is wanted when these are the wishes. */
  wantedBy(wishes: Wishes): Wanted;
  /** They are written down: they count from now on, not when the watch tells. */
  wished(wishes: Wishes): void;
}

const rewatchMs = 1000;
/** Servers of an earlier version let nobody read it, for as long as they are there. */
const renameMs = 5000;
/** Clocks on walls are set: a window is looked at as often at least. */
const windowLookMs = 60_000;

export function followWanted(options: FollowWantedOptions): WantedFollower {
  const { api, namespace, fixed, allocation, policy, window, clock, random, log } = options;
  let services: ServicesView | undefined;
  let wishes = noWishes;
  let names: ReadonlySet<VipAddress> | undefined;
  let areNamesKnown = false;
  let published: Parameters<ServiceFollower['publish']> = [undefined];
  let follower: ServiceFollower | undefined;
  let wake: (() => void) | undefined;
  const say = saidOnce(log);
  const sayOfNames = saidOnce(log);

  const windowBy = (asked: Wishes) => voluntaryMoves(window, asked.rebalanceUntilMs, clock.wallMs());
  const wantedBy = (asked: Wishes): Wanted => ({
    addresses: withPins([...fixed.map((address) => ({ address, weight: 1 })), ...(services?.addresses ?? [])], asked),
    pins: asked.pins,
    ...(names === undefined ? {} : { apiServerVips: names }),
    nodes: nodesBy(services?.nodes ?? [], asked),
    policy: { ...policy, mayRebalance: windowBy(asked).isOpen },
  });

  /** Until something was told, or a window has opened or closed since this was. */
  const untilNews = async (pause: WakeablePause, { mayRebalance }: PlanPolicy): Promise<void> => {
    while (windowBy(wishes).isOpen === mayRebalance) {
      const { changesAtMs = Infinity } = windowBy(wishes);
      const lookInMs = window === undefined ? Infinity : Math.min(changesAtMs - clock.wallMs(), windowLookMs);
      if (await pause.wait(Math.max(lookInMs, 0))) return;
    }
  };

  const wishing: FollowWishesOptions = {
    api,
    namespace,
    present: () => wishes,
    onWishes(asked) {
      wishes = asked;
      say(undefined);
      wake?.();
    },
    clock,
  };

  const knowNames = () => {
    if (areNamesKnown) return;
    areNamesKnown = true;
    wake?.();
  };
  const naming = {
    api,
    namespace,
    name: apiServerNamesName,
    valueOf: readApiServerNames,
    present: () => names,
    onValue(read: ReadonlySet<VipAddress> | undefined) {
      names = read;
      wake?.();
    },
    onRead() {
      sayOfNames(undefined);
      knowNames();
    },
    // Where nothing may be read, nothing is written down.
    onRefused: () => {
      knowNames();
    },
    clock,
  };

  return {
    get services() {
      return services;
    },
    get wishes() {
      return wishes;
    },
    get window() {
      return window === undefined ? undefined : windowBy(wishes);
    },
    wantedBy,
    wished(asked) {
      wishes = asked;
      wake?.();
    },
    publish(...given) {
      published = given;
      follower?.publish(...given);
    },
    async *follow(signal) {
      using end = linkedAbort(signal);
      const pause = wakeablePause(clock, end.signal);
      wake = pause.wake;
      follower = followServices({
        api,
        policy: allocation,
        subnets: () => undefined,
        onView(view) {
          services = view;
          pause.wake();
        },
        log,
        clock,
        random,
        signal: end.signal,
      });
      follower.publish(...published);
      const onEnd = (fault: string | undefined) =>
        say(fault === undefined ? undefined : `what operators ask for cannot be read: ${fault}`);
      const running = Promise.allSettled([
        follower.run(),
        keepFollowing((until) => followWishes(wishing, until), {
          pauseMs: rewatchMs,
          clock,
          onEnd,
          signal: end.signal,
        }),
        keepFollowing((until) => followConfigMap(naming, until), {
          pauseMs: renameMs,
          clock,
          onEnd: (fault) =>
            sayOfNames(
              fault === undefined ? undefined : `what servers have as --vip-apiserver cannot be read: ${fault}`,
            ),
          signal: end.signal,
        }),
      ]);
      try {
        for (;;) {
          pause.forgetHints();
          // Services that have not been read yet are not gone, nor may Leases name what they like until servers are heard.
          const wanted = wantedBy(wishes);
          if (services !== undefined && areNamesKnown) yield wanted;
          await untilNews(pause, wanted.policy);
        }
      } finally {
        follower = wake = undefined;
        end.abort(new Error('Services are followed no more'));
        await running;
      }
    },
  };
}

/** Those of the cluster, and servers without a Node that something is asked of. */
function nodesBy(nodes: readonly KubeNode[], asked: Wishes): Wanted['nodes'] {
  const states = new Map<NodeName, NodeState>([...asked.cordoned, ...asked.draining].map((name) => [name, 'ready']));
  for (const node of nodes) states.set(node.metadata.name, stateByNode(node));
  const isDraining = new Set(asked.draining);
  return new Map(
    [...states].map(([name, state]) => [
      name,
      { state: stateOf(name, state, asked), ...(isDraining.has(name) ? { isDraining: true } : {}) },
    ]),
  );
}

function stateByNode({ spec, status }: KubeNode): NodeState {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready !== undefined && ready.status !== 'True') return 'unready';
  return spec?.unschedulable === true ? 'cordoned' : 'ready';
}
