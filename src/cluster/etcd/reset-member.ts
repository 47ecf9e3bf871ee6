/**
 * Makes the one member on this machine a cluster of its own, with everything that it has: etcd is
 * started once with --force-new-cluster, on the loopback alone, and stopped when it leads itself.
 *
 * Not here: whether that may be done, and what the others have to do (reset-plan.ts).
 */
import { constants } from 'node:fs';
import { cp } from 'node:fs/promises';
import { describeExit } from '../../error/readiness-error.ts';
import { StartupError } from '../../error/startup-error.ts';
import { linkedAbort } from '../../kernel/abort.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/message-of.ts';
import { runProgram } from '../../process/run-program.ts';
import type { EtcdClient } from './etcd-client.ts';
import type { EtcdMember } from './etcd-messages.ts';

export interface ResetOptions {
  /** Program and flags of etcd, as its unit has them. */
  readonly program: string;
  readonly flags: Readonly<Record<string, string>>;
  readonly etcdData: string;
  /** On the loopback. */
  readonly endpoint: string;
  readonly client: EtcdClient;
  readonly peerUrl: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface Reset {
  readonly member: EtcdMember;
  /** A copy of the data as they were. */
  readonly kept: string;
}

/** etcd replays its log first, which takes seconds per gigabyte. */
const withinMs = 120_000;
const lookEveryMs = 100;

/** @throws StartupError ERR_CLUSTER_RESET, which says where the data as they were are kept; the reason of `signal` */
export async function resetMember(options: ResetOptions): Promise<Reset> {
  const { program, flags, etcdData, endpoint, env, clock, signal } = options;
  const kept = `${etcdData}-old-${String(Math.floor(clock.wallMs() / 1000))}`;
  // Blocks are shared where the file system can.
  await cp(etcdData, kept, { recursive: true, errorOnExist: true, force: false, mode: constants.COPYFILE_FICLONE });
  const all = {
    ...flags,
    'data-dir': etcdData,
    'listen-client-urls': endpoint,
    // No former peer may reach it before everything is said of who its members are.
    'listen-peer-urls': `${new URL(endpoint).protocol}//127.0.0.1:${new URL(options.peerUrl).port}`,
    'force-new-cluster': 'true',
  };
  const words = Object.entries(all).map(([name, value]) => `--${name}=${value}`);
  using running = linkedAbort(signal);
  const ended = runProgram({ argv: [program, ...words], env, signal: running.signal, clock });
  const gone = ended.then(({ exit, stderr }) => {
    const last = stderr.trim().split('\n').at(-1) ?? '';
    throw failed(`etcd ended by itself (${describeExit(exit)}): ${last}`, kept);
  });
  try {
    const member = await Promise.race([gone, alone(options, running.signal)]);
    return { member, kept };
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof StartupError ? error : failed(messageOf(error), kept);
  } finally {
    running.abort(new Error('the reset has ended'));
    // It has ended, with all that it started, when this settles.
    await ended.catch(() => undefined);
    await gone.catch(() => undefined);
  }
}

/** Resolves when the member leads a cluster of itself, known by the URL that it is to have. */
async function alone({ client, endpoint, peerUrl, clock }: ResetOptions, signal: AbortSignal): Promise<EtcdMember> {
  const untilMs = clock.monotonicMs() + withinMs;
  for (;;) {
    try {
      const { leader, memberId } = await client.status(endpoint, signal);
      const [member, ...others] = await client.memberList(signal);
      if (leader === memberId && member?.id === memberId && others.length === 0) {
        if (member.peerUrls.join() === peerUrl) return member;
        await client.memberUpdate(member.id, [peerUrl], signal);
      }
    } catch (error) {
      signal.throwIfAborted();
      if (clock.monotonicMs() > untilMs) throw error;
    }
    await sleep(clock, lookEveryMs, signal);
  }
}

function failed(reason: string, kept: string): StartupError {
  const hint = `the data as they were are in ${kept}`;
  return new StartupError('ERR_CLUSTER_RESET', `cannot reset the cluster: ${reason}`, { reason, kept, hint });
}
