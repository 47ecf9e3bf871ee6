/**
 * What the kernel's network does for us, by `nft` and by rtnetlink, or `ip` where there is no FFI: each call is one
 * transaction or one answer.
 */
import * as z from 'zod';
import { StartupError } from '../../error/startup-error.ts';
import { linkedAbort } from '../../kernel/abort.ts';
import type { Clock } from '../../kernel/clock.ts';
import { parseJson } from '../../kernel/json.ts';
import { messageOf } from '../../kernel/message-of.ts';
import type { ProgramOutcome, ProgramRequest } from '../../process/run-program.ts';
import type { VipAddress } from '../model.ts';
import { tableName } from './gate-rules.ts';
import { textOf } from './ip-bytes.ts';
import { changeLine, parseLinks, type AddressChange, type Link } from './network-state.ts';
import type { RouteNetlink } from './route-netlink.ts';

export type RunProgram = (request: ProgramRequest) => Promise<ProgramOutcome>;

/** Longer than any of them takes on a loaded machine. What hangs must not hold up the next for ever. */
const commandWithinMs = 5000;

export interface ReadGate {
  readonly guarded: ReadonlySet<VipAddress>;
  /** With the interface where it is open. */
  readonly open: ReadonlyMap<VipAddress, string>;
  /** Interfaces whose time has not run out. */
  readonly armed: ReadonlySet<string>;
}

export interface KernelNetwork {
  links(): Promise<readonly Link[]>;
  /** Makes every change, whichever fail. @returns the first complaint; empty when all is done */
  changeAddresses(changes: readonly AddressChange[]): Promise<string>;
  /** @throws an Error with nft's first complaint; nothing has changed then */
  changeGate(script: string): Promise<void>;
  /** Has the kernel announce all addresses of an interface. @throws an Error when it is not possible */
  announceAll(name: string, mac: string): Promise<void>;
  /** Empty where there is none. */
  readGate(): Promise<ReadGate>;
}

/** @param routes - undefined: `ip` does it */
export function kernelNetwork(run: RunProgram, clock: Clock, routes?: RouteNetlink): KernelNetwork {
  async function command(argv: readonly [string, ...string[]], input?: string) {
    using limit = linkedAbort();
    using _timer = clock.timer(commandWithinMs, () => {
      limit.abort(new Error(`${argv[0]} has not ended within ${String(commandWithinMs / 1000)} s`));
    });
    const request = { argv, signal: limit.signal, ...(input === undefined ? {} : { input }) };
    const { exit, stdout, stderr } = await run(request).catch((error: unknown) => {
      throw refusal(`${argv[0]} cannot be run`, error);
    });
    return { isOk: exit.kind === 'code' && exit.code === 0, stdout, complaint: firstLine(stderr) };
  }
  const tableText = async (family: 'arp' | 'ip6') => {
    const { isOk, stdout } = await command(['nft', '--json', 'list', 'table', family, tableName]);
    return isOk ? setsIn(stdout) : noSets;
  };
  return {
    async links() {
      if (routes !== undefined) return byRoutes(() => routes.links());
      const { isOk, stdout, complaint } = await command(['ip', '-json', 'address', 'show']);
      if (!isOk) throw refusal(`the machine’s addresses cannot be read: ${complaint}`);
      return parseLinks(stdout);
    },
    async changeAddresses(changes) {
      if (changes.length === 0) return '';
      if (routes !== undefined) return byRoutes(() => routes.change(changes));
      const input = changes.map((change) => `${changeLine(change)}\n`).join('');
      const { isOk, complaint } = await command(['ip', '-force', '-batch', '-'], input);
      return isOk ? '' : complaint || 'ip failed and does not say why';
    },
    async changeGate(script) {
      const { isOk, complaint } = await command(['nft', '-f', '-'], script);
      if (!isOk) throw refusal(`nft refuses the gate’s rules: ${complaint || 'it does not say why'}`);
    },
    async announceAll(name, mac) {
      const { isOk, complaint } = await command(['ip', 'link', 'set', 'dev', name, 'address', mac]);
      if (!isOk) throw refusal(`${name} does not take its own MAC: ${complaint}`);
    },
    async readGate() {
      const [arp, ip6] = await Promise.all([tableText('arp'), tableText('ip6')]);
      const both = (name: string) => [...(arp.get(name) ?? []), ...(ip6.get(name) ?? [])];
      return {
        guarded: new Set(both('guarded').map(([address = '']) => address)),
        open: new Map(both('open').map(([address = '', name = '']) => [address, name])),
        armed: new Set(both('armed').map(([name = '']) => name)),
      };
    },
  };
}

const refusal = (message: string, cause?: unknown): StartupError =>
  new StartupError('ERR_VIP_KERNEL', message, {}, cause === undefined ? undefined : { cause });

async function byRoutes<T>(ask: () => T | Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw refusal(messageOf(error), error);
  }
}

const firstLine = (text: string): string => text.trim().split('\n')[0] ?? '';

/** A plain element, one with a timeout, and one of several parts. Source: libnftables-json(5), "elem". */
const plain = z.union([z.string(), z.number()]).transform(String);
const value = z.union([
  plain.transform((one) => [one]),
  z.object({ concat: z.array(plain) }).transform(({ concat }) => concat),
]);
const element = z.union([value, z.object({ elem: z.object({ val: value }) }).transform(({ elem }) => elem.val)]);
const answerSchema = z.object({
  nftables: z.array(z.object({ set: z.object({ name: z.string(), elem: z.array(element).default([]) }).optional() })),
});

type Sets = ReadonlyMap<string, readonly (readonly string[])[]>;
const noSets: Sets = new Map();

/** Elements of each set, by its name. @throws an Error when it is no such answer */
function setsIn(json: string): Sets {
  const answer = answerSchema.safeParse(parseJson(json));
  if (!answer.success) throw new Error('the gate cannot be read: nft gave no answer that we know');
  return new Map(
    answer.data.nftables.flatMap(({ set }) => (set === undefined ? [] : [[set.name, set.elem.map(readable)] as const])),
  );
}

/** IPv6 addresses are numbers there. */
const readable = ([key = '', ...rest]: readonly string[]): readonly string[] => [
  /^0x[0-9a-f]+$/.test(key) ? textOf(Buffer.from(key.slice(2).padStart(32, '0'), 'hex')) : key,
  ...rest,
];
