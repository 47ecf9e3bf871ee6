/**
 * Constructs this node's part in the virtual addresses: what `k3s-lite internal vip` runs, as a process
 * of its own. It works on any cluster that its kubeconfig leads to.
 */
import path from 'node:path';
import { readKubeconfig, readUserKubeconfig } from '../cluster/kubeconfigs.ts';
import { kubeClient, type KubeClient, type KubeCredentials } from '../cluster/kube-client.ts';
import { StartupError } from '../error/startup-error.ts';
import { systemClock } from '../kernel/clock.ts';
import { notifySender } from '../probe/notify-sender.ts';
import { runProgram } from '../process/run-program.ts';
import { createActuator } from '../vip/actuate/create-actuator.ts';
import { packetLinks } from '../vip/actuate/packet-link.ts';
import { checkTiming, supposedFacts, type LeaseTimes, type Timing } from '../vip/coordination/timing.ts';
import type { Wanted } from '../vip/coordination/coordinator-model.ts';
import { plan } from '../vip/plan/plan.ts';
import type { PlanPolicy } from '../vip/plan/plan-model.ts';
import { serveVip, type VipView } from '../vip/serve-vip.ts';
import { vipEventText, vipStream } from '../vip/vip-event.ts';
import { bootTime } from './boot-time.ts';
import { vipInstance } from './vip-instance.ts';

export interface InternalVipOptions extends LeaseTimes {
  /** For what has to outlive the process. */
  readonly stateDir: string;
  readonly kubeconfig: string;
  readonly nodeName: string;
  /** Of the Leases and the assignment. */
  readonly namespace: string;
  /** Addresses that are there from the start, whatever Services there are. */
  readonly addresses: readonly string[];
  /** In place of the one whose network has the address. */
  readonly interface: string | undefined;
  readonly capacity: number;
  readonly lingerMs: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

const policy: PlanPolicy = {
  mayRebalance: true,
  startAbove: 1.2,
  stopBelow: 1,
  restMs: 0,
  movesAtOnce: 5,
  movesPerHour: 1000,
};
const tellEveryMs = 2000;

/** @throws the reason of `signal` when that aborts and everything is withdrawn; StartupError ERR_CONFIG for times that do not fit */
export async function internalVip(options: InternalVipOptions): Promise<never> {
  const { stateDir, nodeName: node, addresses, env, log, signal } = options;
  const clock = systemClock;
  const timing = timingOf(options);
  using instance = vipInstance(stateDir, node);
  using sender = notifySender(env['NOTIFY_SOCKET']);
  const events = vipStream({ clock });
  using _log = events.subscribe({ onEvent: ({ event }) => log(vipEventText(event)) });
  // Renewals have a connection of their own: nothing that is large or slow is before them.
  using forLeases = renewedClient(options.kubeconfig);
  using forOthers = renewedClient(options.kubeconfig);
  await using actuator = createActuator({
    clock,
    random: Math.random,
    run: runProgram,
    stateDir: path.join(stateDir, 'addresses'),
    openLink: packetLinks(),
    interface: options.interface,
    onSighting: (sighting) =>
      events.emit(
        sighting.kind === 'conflict'
          ? { type: 'vip.conflict', address: sighting.address, mac: sighting.mac }
          : { type: 'vip.missing', address: sighting.address },
      ),
  });
  let telling: Disposable | undefined;
  const tell = (view: VipView) => {
    sender.send(`STATUS=${statusOf(view)}`);
    telling = clock.timer(tellEveryMs, () => tell(view));
  };
  try {
    return await serveVip({
      node,
      identity: instance.identity,
      earlier: instance.earlier,
      namespace: options.namespace,
      timing,
      lingerMs: options.lingerMs,
      capacity: options.capacity,
      connectForLeases: forLeases.connect,
      connect: forOthers.connect,
      actuator,
      followWanted: (end) =>
        always({ addresses: addresses.map((address) => ({ address, weight: 1 })), nodes: new Map(), policy }, end),
      plan,
      clock,
      bootMs: bootTime(clock),
      random: Math.random,
      onEvent: (event) => events.emit(event),
      onReady(view) {
        sender.send('READY=1');
        tell(view);
      },
      signal,
    });
  } finally {
    telling?.[Symbol.dispose]();
    events.flush();
  }
}

function timingOf(times: LeaseTimes): Timing {
  const checked = checkTiming(times, supposedFacts);
  if (checked.ok) return checked.value;
  const mistakes = checked.error.map(({ reason, remedy }) => `${reason} (${remedy})`);
  throw new StartupError('ERR_CONFIG', `cannot use the times of the Leases: ${mistakes.join('; ')}`, { mistakes });
}

/** "holds 3 addresses; coordinator; Lease good for 4.2 s". */
function statusOf({ agent, own, election }: VipView): string {
  const held = [...agent().holdings.values()].filter(({ phase }) => phase === 'open').length;
  const { isOurs, leftMs = 0 } = own();
  const lease = isOurs ? `Lease good for ${(leftMs / 1000).toFixed(1)} s` : 'without its Lease';
  return [`holds ${String(held)} addresses`, lease, ...(election().isOurs ? ['coordinator'] : [])].join('; ');
}

async function* always(wanted: Wanted, signal: AbortSignal): AsyncGenerator<Wanted, void, undefined> {
  yield wanted;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

interface RenewedClient extends Disposable {
  /** A client with what the kubeconfig's files say now; the same one as long as that is the same. */
  connect(): Promise<KubeClient>;
}

/** How often the files are read again: certificates are renewed weeks before their end. */
const rereadMs = 60_000;

function renewedClient(kubeconfig: string): RenewedClient {
  let client: KubeClient | undefined;
  let digest = '';
  let readAtMs = -Infinity;
  return {
    async connect() {
      if (client !== undefined && systemClock.monotonicMs() - readAtMs < rereadMs) return client;
      const credentials = await credentialsOf(kubeconfig);
      readAtMs = systemClock.monotonicMs();
      const next = JSON.stringify([
        credentials.url,
        String(credentials.ca),
        String(credentials.cert),
        String(credentials.key),
      ]);
      if (client === undefined || next !== digest) {
        // What is under way with the one before ends by itself.
        client = kubeClient(credentials, systemClock);
        digest = next;
      }
      return client;
    },
    [Symbol.dispose]: () => client?.[Symbol.dispose](),
  };
}

/** A component's, which names files, or a person's, which has everything in it. */
async function credentialsOf(file: string): Promise<KubeCredentials> {
  try {
    return await readKubeconfig(file);
  } catch {
    return readUserKubeconfig(file);
  }
}
