/**
 * What runs in a namespace of the rig: an actuator, a client, or the observer. A process of its own, so
 * that it can be frozen and killed; told what to do over IPC.
 */
import { createSocket } from 'node:dgram';
import { systemClock } from '../../../src/kernel/clock.ts';
import { runProgram } from '../../../src/process/run-program.ts';
import type { ActuatorSighting } from '../../../src/vip/actuator.ts';
import { claimIn } from '../../../src/vip/actuate/claim.ts';
import { createActuator } from '../../../src/vip/actuate/create-actuator.ts';
import { gateNetlink, type GateNetlink } from '../../../src/vip/actuate/gate-netlink.ts';
import { packetLinks } from '../../../src/vip/actuate/packet-link.ts';
import { routeNetlink } from '../../../src/vip/actuate/route-netlink.ts';
import type { Asked, Calls, NodeOptions, Reply, Spoken } from './calls.ts';
import { History } from './judge.ts';

const echoPort = 9000;
const sendEveryMs = 2;
const never = new AbortController().signal;

type Handlers = { readonly [Name in keyof Calls]?: Calls[Name] };

function node(options: NodeOptions): Handlers {
  const sightings: ActuatorSighting[] = [];
  const netlink = watched(options.withoutPackets === true ? undefined : gateNetlink());
  const actuator = createActuator({
    clock: systemClock,
    random: Math.random,
    run: runProgram,
    stateDir: options.stateDir,
    openLink: options.withoutPackets === true ? undefined : packetLinks(),
    routes: options.withoutPackets === true ? undefined : routeNetlink(systemClock),
    netlink: netlink.watched,
    ...(options.probe === undefined ? {} : { probe: options.probe }),
    ...(options.lookEveryMs === undefined ? {} : { lookEveryMs: options.lookEveryMs }),
    onSighting: (sighting) => sightings.push(sighting),
  });
  for (const type of ['udp4', 'udp6'] as const) {
    const socket = createSocket({ type, ipv6Only: type === 'udp6' });
    socket.on('message', (message, { address, port }) =>
      socket.send(`${String(message)} ${options.name}`, port, address),
    );
    socket.bind(echoPort);
  }
  return {
    cleanUp: () => actuator.cleanUp(never),
    take: (addresses, deadlineMs) => actuator.take(addresses, { deadlineMs, isFree: false }, never),
    silence: (addresses) => actuator.silence(addresses),
    drop: (addresses) => actuator.drop(addresses),
    arm: (deadlineMs) => actuator.arm(deadlineMs),
    held: () => actuator.held(never),
    counters: () => Promise.resolve(actuator.counters()),
    sightings: () => Promise.resolve(sightings),
    gateBatches: () => Promise.resolve(netlink.batches),
    end: async () => actuator[Symbol.asyncDispose](),
  };
}

/** Counts what the kernel refuses: nobody else sees it, since nft writes the same. */
function watched(netlink: GateNetlink | undefined) {
  const batches = { done: 0, refused: [] as string[] };
  const change: GateNetlink['change'] = (batch) => {
    try {
      netlink?.change(batch);
      batches.done += 1;
    } catch (error) {
      batches.refused.push(String(error));
      throw error;
    }
  };
  return { batches, watched: netlink === undefined ? undefined : { change, close: () => netlink.close() } };
}

/** Sends a numbered packet again and again; who has answered which says how long nobody did. */
function client(): Handlers {
  let stop: (() => void) | undefined;
  let sent: { readonly atMs: number; from?: string }[] = [];
  return {
    begin(address) {
      sent = [];
      const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
      socket.on('message', (message) => {
        const [number = '', from = ''] = String(message).split(' ');
        const one = sent[Number(number)];
        if (one !== undefined) one.from = from;
      });
      socket.on('error', () => undefined); // Nobody answers for it: that is what is measured.
      const timer = setInterval(() => {
        socket.send(String(sent.length), echoPort, address, () => undefined);
        sent.push({ atMs: systemClock.monotonicMs() });
      }, sendEveryMs);
      stop = () => {
        clearInterval(timer);
        socket.close();
      };
      return Promise.resolve();
    },
    answered: () => Promise.resolve(sent.filter(({ from }) => from !== undefined).length),
    lastFrom: () => Promise.resolve(sent.findLast(({ from }) => from !== undefined)?.from),
    async finish() {
      // What is on its way comes within this time.
      await new Promise((resolve) => setTimeout(resolve, 100));
      stop?.();
      const answered = sent.filter(({ from }) => from !== undefined);
      let longestGapMs = 0;
      for (const [at, { atMs }] of answered.entries()) {
        longestGapMs = Math.max(longestGapMs, atMs - (answered[at - 1]?.atMs ?? atMs));
      }
      const first = sent.findIndex(({ from }) => from !== undefined);
      const last = sent.findLastIndex(({ from }) => from !== undefined);
      const lost = sent.slice(Math.max(first, 0), last + 1).filter(({ from }) => from === undefined).length;
      const from = answered.map((one) => one.from ?? '').filter((one, at, all) => one !== all[at - 1]);
      const report = { sent: sent.length, lost, longestGapMs, from };
      sent = [];
      return report;
    },
  };
}

/** Hears every frame on the bridge, and asks by itself, so that whoever would answer does. */
function observer(): Handlers {
  const open = packetLinks();
  if (open === undefined) throw new Error('no FFI on this machine');
  const link = open(2);
  const heard: Spoken[] = [];
  const history = new History();
  setInterval(() => {
    const atMs = systemClock.monotonicMs();
    for (const frame of link.receive()) {
      const claim = claimIn(frame);
      if (claim?.isProbe !== false) continue;
      const spoken = { atMs, address: claim.address, mac: claim.mac };
      heard.push(spoken);
      history.hear(spoken);
    }
  }, 1);
  let asking: NodeJS.Timeout | undefined;
  return {
    ask(frames, everyMs) {
      clearInterval(asking);
      const questions = frames.map((frame) => Buffer.from(frame, 'hex'));
      if (questions.length > 0) {
        asking = setInterval(() => {
          for (const question of questions) link.send(question);
        }, everyMs);
      }
      return Promise.resolve();
    },
    spoken: () => Promise.resolve(heard),
    history: (address) => Promise.resolve(history.of(address)),
    forget() {
      heard.length = 0;
      history.clear();
      return Promise.resolve();
    },
    say(frame) {
      link.send(Buffer.from(frame, 'hex'));
      return Promise.resolve();
    },
  };
}

const [, , role = '', options = '{}'] = process.argv;
const roles: Readonly<Record<string, () => Handlers>> = {
  node: () => node(JSON.parse(options) as NodeOptions),
  client,
  observer,
};
const handlers = roles[role]?.() as Record<string, (...args: readonly unknown[]) => Promise<unknown>> | undefined;
process.on('message', ({ id, call, args }: Asked) => {
  const answer = (reply: Omit<Reply, 'id'>) => process.send?.({ id, ...reply });
  const handler = handlers?.[call];
  if (handler === undefined) answer({ error: `a ${role} knows no ${call}` });
  else {
    handler(...args).then(
      (value) => answer({ value }),
      (error: unknown) => answer({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  }
});
process.on('disconnect', () => process.exit(0));
process.send?.({ id: 0 });
