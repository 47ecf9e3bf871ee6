/**
 * Constructs a balancer: what `k3s-lite internal balancer` runs, as a process of its own. The
 * balancers that the shipped units run (internal-api-balancer, internal-etcd-balancer) are this with
 * settings that they derive, and with something that follows which servers there are.
 */
import { readFile } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import { balancerStream } from '../balancer/balancer-event.ts';
import { balancerMetrics } from '../balancer/balancer-metrics.ts';
import { createBalancer, type Balancer } from '../balancer/balancer.ts';
import { createCheck, type CheckKind } from '../balancer/create-check.ts';
import { eventText } from '../balancer/event-text.ts';
import { netForwarder } from '../balancer/net-forwarder.ts';
import { readSettings, type BalancerSettings } from '../balancer/settings.ts';
import { followPeerHealth } from '../cluster/peers/follow-peer-health.ts';
import type { Heartbeats } from '../cluster/peers/peer-health.ts';
import { StartupError } from '../error/startup-error.ts';
import { abortable } from '../kernel/abort.ts';
import { systemClock } from '../kernel/clock.ts';
import { deferred } from '../kernel/deferred.ts';
import { keepFreedMemory } from '../kernel/freed-memory.ts';
import { describeAddress } from '../probe/connection.ts';
import { notifySender } from '../probe/notify-sender.ts';
import { systemProc } from '../process/proc-reader.ts';
import { serveBalancerControl } from './balancer-control.ts';
import { beginList, keepList } from './balancer-list.ts';
import { balancerSocket, ownPaths } from './paths.ts';

/** As much as 256 reads are together; bulk passes a fifth to a third faster than when each gives its memory back. */
const keptBytes = 16 * 1024 * 1024;

export interface BalancerProcess {
  readonly dataDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface InternalBalancerOptions extends BalancerProcess {
  /** The balancer's own configuration file. */
  readonly config: string;
}

/** Where the servers of a balancer come from, beside its configuration and its store. */
export interface Discovery {
  /** host:port; it begins with them and with those of the store. */
  readonly seeds: readonly string[];
  /** Hands over the whole list for as long as the balancer runs; rejects when `signal` aborts, and not before. */
  readonly follow: (balancer: Pick<Balancer, 'update' | 'isReachable'>, signal: AbortSignal) => Promise<never>;
}

/** @throws the reason of `signal` when that aborts; ERR_CONFIG; ERR_NOT_READY if the address is taken */
export async function internalBalancer({ config, ...rest }: InternalBalancerOptions): Promise<never> {
  return await runBalancer(readSettings(await textOf(config), config), rest);
}

/** @throws the reason of `signal` when that aborts; ERR_NOT_READY if the address is taken */
export async function runBalancer(
  settings: BalancerSettings,
  around: BalancerProcess,
  discovery?: Discovery,
): Promise<never> {
  const { dataDir, env, log, signal } = around;
  // A supervisor's heap is kept small (bin/load-script.js); here that made garbage collection a tenth of what a
  // connection costs: what is young dies young only where there is room for all connections that are being made.
  setFlagsFromString('--semi-space-growth-factor=2');
  setFlagsFromString('--heap-growing-percent=0');
  keepFreedMemory(keptBytes, env);
  using sender = notifySender(env['NOTIFY_SOCKET']);
  const clock = systemClock;
  const events = balancerStream({ clock });
  using _log = events.subscribe({
    onEvent({ event }) {
      const text = eventText(event);
      if (text !== undefined) log(text);
    },
    onDropped: (count) => log(`${String(count)} events were too many to log`),
  });
  await using balancer = createBalancer({
    rules: rulesOf(settings),
    createCheck: (address) => createCheck(checkOf(settings), address),
    checkPace: {
      everyMs: settings.checkEvery,
      usedEveryMs: settings.checkUsedEvery,
      withinMs: settings.checkWithin,
      silences: settings.checkSilences,
    },
    events,
    clock,
    random: Math.random,
  });
  const forwarder = await netForwarder({
    listen: settings.listen,
    routes: balancer.routes,
    clock,
    limits: { staggerMs: settings.dialStagger, attemptMs: settings.dialWithin, budgetMs: settings.dialBudget },
    maxConnections: settings.maxConnections,
    holdMs: settings.hold,
  });
  balancer.attach(forwarder);
  const metrics = balancerMetrics(settings.name);
  using _metrics = events.subscribe(metrics);
  const listen = describeAddress({ kind: 'tcp', ...forwarder.address });
  await beginList({ balancer, settings, seeds: discovery?.seeds ?? [], log });
  using _list = keepList({ balancer, events, settings, log });
  await using _control = await serveBalancerControl({
    socketPath: balancerSocket(ownPaths({ dataDir, env }), settings.name),
    target: {
      name: settings.name,
      listen,
      balancer,
      events,
      metrics: () => metrics.text(balancer.state, forwarder.counts(), clock.monotonicMs()),
    },
  });
  log(`${settings.name} listens on ${listen}`);
  sender.send('READY=1', `STATUS=${settings.name} on ${listen}`);
  const following = [
    ...(discovery === undefined ? [] : [discovery.follow(balancer, signal)]),
    ...(settings.heartbeats === undefined ? [] : [followHeartbeats(balancer, settings.heartbeats, signal)]),
  ];
  return await Promise.race([abortable(deferred<never>().promise, signal), ...following]);
}

function followHeartbeats(balancer: Balancer, file: string, signal: AbortSignal): Promise<never> {
  const onChange = ({ lost }: Heartbeats) => balancer.heartbeats({ lost });
  return followPeerHealth({ file, bootId: systemProc.bootId(), clock: systemClock, onChange, signal });
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const { message } = cause as Error;
    throw new StartupError('ERR_CONFIG', `cannot read the configuration ${file}: ${message}`, { file }, { cause });
  }
}

function rulesOf(settings: BalancerSettings) {
  const { policy, graceRemoved, graceTakeover, graceDrained, listen } = settings;
  return {
    policy,
    graces: { removedMs: graceRemoved, takeoverMs: graceTakeover, drainedMs: graceDrained },
    ownAddresses: listen.port === 0 ? [] : [describeAddress({ kind: 'tcp', ...listen })],
  };
}

function checkOf({ check }: BalancerSettings): CheckKind {
  if (typeof check === 'string') return { kind: check };
  return 'readyz' in check ? { kind: 'readyz', ...check.readyz } : { kind: 'get', ...check.get };
}
