/**
 * Constructs this node's part in the virtual addresses: what `k3s-lite internal vip` runs, as a process
 * of its own. It works on any cluster that its kubeconfig leads to.
 */
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { StartupError } from '../error/startup-error.ts';
import { abortError, linkedAbort, type LinkedAbort } from '../kernel/abort.ts';
import { systemClock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/message-of.ts';
import { httpProbe } from '../probe/http.ts';
import { notifySender } from '../probe/notify-sender.ts';
import { runProgram } from '../process/run-program.ts';
import { statusOf, type VipKnowledge } from '../vip/answer-operator.ts';
import { createActuator } from '../vip/actuate/create-actuator.ts';
import { oneAtATime } from '../vip/actuate/one-at-a-time.ts';
import { packetLinks } from '../vip/actuate/packet-link.ts';
import { routeNetlink } from '../vip/actuate/route-netlink.ts';
import { apiServerVips } from '../vip/coordination/api-server-vip.ts';
import { checkTiming, supposedFacts, type LeaseTimes, type Timing } from '../vip/coordination/timing.ts';
import type { StoredAssignment } from '../vip/coordination/stored-assignment.ts';
import type { Balance, Election } from '../vip/model.ts';
import { plan } from '../vip/plan/plan.ts';
import type { PlanPolicy } from '../vip/plan/plan-model.ts';
import { parseMaintenanceWindows } from '../vip/plan/voluntary-moves.ts';
import { serveVip, type ServeVipOptions, type VipView } from '../vip/serve-vip.ts';
import { parsePools } from '../vip/service/address-pool.ts';
import { followWanted } from '../vip/service/follow-wanted.ts';
import { holdersOf } from '../vip/service/service-status.ts';
import { trafficMeter } from '../vip/traffic/traffic-meter.ts';
import { vipEventText, vipStream } from '../vip/vip-event.ts';
import { vipMetrics } from '../vip/vip-metrics.ts';
import { apiDetour } from './api-detour.ts';
import { bootTime } from './boot-time.ts';
import { anotherIsAsked, apiOf, renewedClient } from './renewed-client.ts';
import { serveVipControl } from './vip-control.ts';
import { vipInstance } from './vip-instance.ts';
import { vipLeaseThread } from './vip-lease-thread.ts';
import { operate } from './vip-operator.ts';

export interface InternalVipOptions extends LeaseTimes {
  /** For what has to outlive the process. */
  readonly stateDir: string;
  readonly kubeconfig: string;
  readonly nodeName: string;
  /** Of the Leases and the assignment. */
  readonly namespace: string;
  /** Addresses that are there from the start, whatever Services there are. */
  readonly addresses: readonly string[];
  /** The address that the API servers share, and this machine's one of them; undefined: this machine has none that does. */
  readonly apiServer: { readonly vip: string; readonly url: string; readonly tls: string } | undefined;
  /** Where addresses of Services come from, each as `--vip-pool` gives it. */
  readonly pools: readonly string[];
  /** When voluntary moves may be made, each as `--vip-window` gives it; none: at any time. */
  readonly windows: readonly string[];
  /** Services that name no class are ours, too. */
  readonly takesUnclassed: boolean;
  /** Undefined: nobody can ask this process. */
  readonly controlSocket: string | undefined;
  /** In place of the one whose network has the address. */
  readonly interface: string | undefined;
  readonly capacity: number;
  readonly election: Election;
  readonly balance: Balance;
  readonly lingerMs: number;
  readonly flapHalfLifeMs: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

const policy: Omit<PlanPolicy, 'mayRebalance'> = {
  startAbove: 1.2,
  stopBelow: 1,
  restMs: 0,
  movesAtOnce: 5,
  movesPerHour: 1000,
};
const tellEveryMs = 2000;

/** @throws the reason of `signal` when that aborts and everything is withdrawn; StartupError ERR_CONFIG for pools and windows that cannot be read, and times that do not fit */
export async function internalVip(options: InternalVipOptions): Promise<never> {
  using end = linkedAbort(options.signal);
  try {
    return await holdAddresses(options, end);
  } catch (error) {
    // Without the thread of the Lease nothing can be withdrawn either: what else failed then follows from that.
    if (end.signal.aborted && !options.signal.aborted) throw abortError(end.signal);
    throw error;
  }
}

async function holdAddresses(options: InternalVipOptions, end: LinkedAbort): Promise<never> {
  const { stateDir, nodeName: node, namespace, kubeconfig, env, log } = options;
  const { signal } = end;
  const clock = systemClock;
  // Before there is anything that would have to be ended.
  const timing = timingOf(options);
  const pools = configured('pools', options.pools, parsePools);
  const window = configured('windows', options.windows, parseMaintenanceWindows);
  using instance = vipInstance(stateDir, node);
  using sender = notifySender(env['NOTIFY_SOCKET']);
  const events = vipStream({ clock });
  using _log = events.subscribe({ onEvent: ({ event }) => log(vipEventText(event)) });
  // Renewals have connections of their own, and the node's even a thread: nothing that is large or slow is before them.
  const onGone = (reason: Error) => {
    events.emit({ type: 'vip.notice', text: reason.message });
    end.abort(reason);
  };
  await using thread = vipLeaseThread({ kubeconfig, namespace, onGone });
  using forLeases = renewedClient(kubeconfig);
  using forOthers = renewedClient(kubeconfig);
  await using actuator = createActuator({
    clock,
    random: Math.random,
    run: runProgram,
    stateDir: path.join(stateDir, 'addresses'),
    openLink: packetLinks(),
    routes: routeNetlink(clock),
    interface: options.interface,
    gate: thread.gate,
    onSighting: (sighting) =>
      events.emit(
        sighting.kind === 'conflict'
          ? { type: 'vip.conflict', address: sighting.address, mac: sighting.mac }
          : { type: 'vip.missing', address: sighting.address },
      ),
  });
  const detour = apiDetour({
    known: () => follower.services?.apiServers ?? [],
    ownAddresses,
    redirect(url) {
      for (const each of [thread, forLeases, forOthers]) each.redirect(url);
    },
  });
  using _detour = events.subscribe({
    onEvent({ event }) {
      if (event.type === 'vip.api-server') detour.own(event.isReady);
      // What a redirection has ended says nothing of the one that is asked now.
      else if (event.type === 'vip.retry' && event.text !== anotherIsAsked) detour.failed();
    },
  });
  const metrics = vipMetrics();
  using _metrics = events.subscribe(metrics);
  const others = apiOf(forOthers);
  const follower = followWanted({
    api: others,
    namespace,
    fixed: options.addresses,
    allocation: { pools, takesUnclassed: options.takesUnclassed },
    policy,
    window,
    log: (text) => events.emit({ type: 'vip.notice', text }),
    clock,
    random: Math.random,
  });
  const meter = trafficMeter(runProgram);
  // What an earlier process, which was told otherwise, has left would count for ever.
  if (options.balance === 'count') void meter.end();
  const operations = oneAtATime();
  let telling: Disposable | undefined;
  let publishing: Disposable | undefined;
  let shown: VipView | undefined;
  let control: Promise<AsyncDisposable> | undefined;
  const tell = (view: VipView) => {
    sender.send(`STATUS=${stateText(view)}`);
    publish(view);
    telling = clock.timer(tellEveryMs, () => tell(view));
  };
  let published: StoredAssignment | undefined;
  /** Each version once: one that moves a thousand addresses tells a thousand events. */
  const publish = (view: VipView) => {
    const { epoch, stored } = view.coordinator();
    const assignment = epoch === undefined ? undefined : stored?.assignment;
    if (assignment === published) return;
    published = assignment;
    const shared = apiServerVips(view.coordinator(), timing.leaseDurationMs, clock.monotonicMs());
    follower.publish(assignment === undefined ? undefined : holdersOf(assignment), [...shared.keys()]);
  };
  const windowNow = (): Pick<VipKnowledge, 'window'> => {
    const { window } = follower;
    if (window === undefined) return {};
    const { isOpen, changesAtMs } = window;
    return { window: { isOpen, ...(changesAtMs === undefined ? {} : { changesInMs: changesAtMs - clock.wallMs() }) } };
  };
  const serveControl = (socketPath: string, view: VipView) => {
    const known = (): VipKnowledge => ({
      node,
      leaseGood: view.own().isOurs,
      election: view.election(),
      assignment: view.agent().view,
      coordinator: view.coordinator(),
      rules: view.coordinatorRules,
      services: follower.services,
      apiServerVip: options.apiServer?.vip,
      ...windowNow(),
      nowMs: clock.monotonicMs(),
    });
    return serveVipControl({
      socketPath,
      target: {
        known,
        metrics: () => {
          const own = { leftMs: view.own().leftMs, durationMs: timing.leaseDurationMs, nowMs: clock.monotonicMs() };
          return metrics.text(statusOf(known()), own);
        },
        // One after the other: each begins with what the one before has written.
        operate: (verb, request) =>
          operations(() => operate({ verb, request, known: known(), follower, api: others, namespace, clock, signal })),
      },
    });
  };
  try {
    return await serveVip({
      node,
      identity: instance.identity,
      earlier: instance.earlier,
      namespace,
      timing,
      lingerMs: options.lingerMs,
      capacity: options.capacity,
      election: options.election,
      balance: options.balance,
      meter: options.balance === 'load' ? meter : undefined,
      flapHalfLifeMs: options.flapHalfLifeMs,
      connectForLeases: forLeases.connect,
      holdOwn: thread.holdOwn,
      connect: forOthers.connect,
      actuator,
      followWanted: (end) => follower.follow(end),
      plan,
      apiServer: apiServerOf(options.apiServer),
      clock,
      bootMs: bootTime(clock),
      random: Math.random,
      onEvent: (event) => events.emit(event),
      onAssignment: () => {
        if (shown !== undefined) publish(shown);
      },
      onReady(view) {
        shown = view;
        // In a turn of its own: what an event tells is in the state by then.
        publishing = events.subscribe({
          onEvent: () => {
            publish(view);
          },
        });
        if (options.controlSocket !== undefined) control = serveControl(options.controlSocket, view);
        control?.catch((error: unknown) => events.emit({ type: 'vip.notice', text: messageOf(error) }));
        sender.send('READY=1');
        tell(view);
      },
      signal,
    });
  } finally {
    telling?.[Symbol.dispose]();
    publishing?.[Symbol.dispose]();
    await control?.then((one) => one[Symbol.asyncDispose]()).catch(() => undefined);
    events.flush();
  }
}

/** @param what - what it is read from, by its name */
function configured<T>(what: 'pools' | 'windows', texts: readonly string[], read: (texts: readonly string[]) => T): T {
  try {
    return read(texts);
  } catch (error) {
    throw new StartupError('ERR_CONFIG', `cannot use the ${what}: ${messageOf(error)}`, { [what]: texts });
  }
}

const ownAddresses = (): ReadonlySet<string> =>
  new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address)));

function apiServerOf(given: InternalVipOptions['apiServer']): ServeVipOptions['apiServer'] {
  if (given === undefined) return undefined;
  const { vip, url, tls } = given;
  const files = { ca: `${tls}/server-ca.crt`, cert: `${tls}/client-vip.crt`, key: `${tls}/client-vip.key` };
  return { vip, probe: httpProbe({ url: new URL('/readyz', url), tls: files }) };
}

function timingOf(times: LeaseTimes): Timing {
  const checked = checkTiming(times, supposedFacts);
  if (checked.ok) return checked.value;
  const mistakes = checked.error.map(({ reason, remedy }) => `${reason} (${remedy})`);
  throw new StartupError('ERR_CONFIG', `cannot use the times of the Leases: ${mistakes.join('; ')}`, { mistakes });
}

/** "holds 3 addresses; coordinator; Lease good for 4.2 s". */
function stateText({ agent, own, election }: VipView): string {
  const held = [...agent().holdings.values()].filter(({ phase }) => phase === 'open').length;
  const { isOurs, leftMs = 0 } = own();
  const lease = isOurs ? `Lease good for ${(leftMs / 1000).toFixed(1)} s` : 'without its Lease';
  return [`holds ${String(held)} addresses`, lease, ...(election().isOurs ? ['coordinator'] : [])].join('; ');
}
