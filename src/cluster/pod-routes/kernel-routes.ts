/**
 * The routes of ours in this machine's kernel, through `ip`. They carry a protocol number that nobody
 * else has, so they are found again after any restart, and nobody else's is ever touched.
 */
import * as z from 'zod';
import type { Exit } from '../../error/readiness-error.ts';
import { parseJson } from '../../kernel/json.ts';
import type { Builtin } from '../../unit/builtin.ts';
import { writeAtomically } from '../../kernel/stored-file.ts';
import { routeChanges, type Route } from './wanted-routes.ts';

/** Free in /etc/iproute2/rt_protos; those up to 4 are the kernel's. Source: rtnetlink(7), `rtm_protocol`. */
export const routeProtocol = 143;

export interface Outcome {
  readonly exit: Exit;
  readonly stdout: string;
  readonly stderr: string;
}

export interface KernelRoutesOptions {
  /** Where the commands of one change are written for `ip -batch`. */
  readonly batchFile: string;
  /** Runs a program to its end. */
  readonly run: (argv: readonly [string, ...string[]]) => Promise<Outcome>;
}

export interface KeptRoutes {
  /** Networks that the kernel took no route for, with its reason. */
  readonly refused: ReadonlyMap<string, string>;
  /** How many commands were needed. */
  readonly changes: number;
}

/** `ip` leaves the length of a prefix out when it is one address. */
const routesSchema = z.array(z.object({ dst: z.string(), gateway: z.string().optional() }));

async function presentRoutes(run: KernelRoutesOptions['run']): Promise<readonly Route[]> {
  const { exit, stdout, stderr } = await run(['ip', '-4', '-json', 'route', 'show', 'proto', String(routeProtocol)]);
  const parsed = routesSchema.safeParse(parseJson(stdout.trim() === '' ? '[]' : stdout));
  if (exit.kind !== 'code' || exit.code !== 0 || !parsed.success) {
    throw new Error(`the kernel’s routes cannot be read: ${stderr.trim() || 'ip gave no answer'}`);
  }
  return parsed.data.map(({ dst, gateway = '' }) => ({ to: dst.includes('/') ? dst : `${dst}/32`, via: gateway }));
}

/** Makes the kernel's routes of ours exactly these. @throws when `ip` cannot be run */
export async function keepRoutes(wanted: readonly Route[], options: KernelRoutesOptions): Promise<KeptRoutes> {
  const { batchFile, run } = options;
  const lines = routeChanges(await presentRoutes(run), wanted, routeProtocol);
  if (lines.length === 0) return { refused: new Map(), changes: 0 };
  await writeAtomically(batchFile, `${lines.join('\n')}\n`, 0o600);
  // -force: one node that is out of reach must not keep the routes to the others away.
  const { stderr } = await run(['ip', '-4', '-force', '-batch', batchFile]);
  const failed = failedLines(stderr);
  const refused = lines.flatMap((line, at) => {
    const reason = failed.get(at + 1);
    const [, verb, to = ''] = line.split(' ');
    return reason === undefined || verb === 'del' ? [] : [[to, reason] as const];
  });
  return { refused: new Map(refused), changes: lines.length };
}

/** Undo of pod-routes. */
export const removePodRoutes: Builtin = async ({ run }) => {
  const { exit, output } = await run(['ip', '-4', 'route', 'flush', 'proto', String(routeProtocol)]);
  if (exit.kind !== 'code' || exit.code !== 0) throw new Error(`routes to other nodes’ pods stay: ${output.trim()}`);
};

/** By line number, from 1: "Error: Nexthop has invalid gateway.\nCommand failed FILE:2". Source: iproute2 `do_batch`. */
function failedLines(stderr: string): ReadonlyMap<number, string> {
  const failed = new Map<number, string>();
  let reason = '';
  for (const line of stderr.split('\n')) {
    const number = /^Command failed .*:(\d+)$/.exec(line)?.[1];
    if (number === undefined) reason = line.replace(/^(?:Error|RTNETLINK answers): /, '').replace(/\.$/, '') || reason;
    else failed.set(Number(number), reason);
  }
  return failed;
}
