/**
 * Makes a rotation of the tokens count at every server, as a loop beside the join server: the newest
 * tokens lie in etcd, sealed with the key of the cluster's authority, which servers have and nobody
 * else. Whoever has newer ones puts them there; whoever has older ones takes them over.
 *
 * A rotation has a number and a name drawn at random. Of two with one number that were made at once
 * at two servers, the one that lies in etcd counts.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { jitteredMs } from '../../kernel/backoff.ts';
import { sleep, type Clock } from '../../kernel/clock.ts';
import { parseJson } from '../../kernel/json.ts';
import { messageOf } from '../../kernel/message-of.ts';
import { saidOnce } from '../../kernel/said-once.ts';
import type { EtcdClient } from '../etcd/etcd-client.ts';
import type { Layout } from '../layout.ts';
import { readPasswords, takeRotation, tokenRotation, type TokenFiles } from './cluster-token.ts';
import { sealWithToken, unsealWithToken } from './seal.ts';

export interface KeepTokensPorts {
  readonly etcd: Pick<EtcdClient, 'get' | 'put'>;
  readonly files: TokenFiles & Pick<Layout, 'serverTls'>;
  readonly clock: Clock;
  /** [0, 1): the servers look at different times. */
  readonly random: () => number;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A person who has rotated a token goes to the next machine with it. */
const everyMs = 3_000;
const tokensKey = '/k3s-lite/tokens';

const recordSchema = z.object({
  version: z.literal(1),
  number: z.number().int().min(1),
  id: z.string().max(64),
  sealed: z.string().max(16 * 1024),
});
const contentSchema = z.object({ server: z.string().min(1).max(1024), node: z.string().min(1).max(1024) });

/** Runs until `signal` aborts, and then rejects with its reason. */
export async function keepTokens(ports: KeepTokensPorts): Promise<never> {
  const { clock, random, log, signal } = ports;
  const say = saidOnce(log);
  for (;;) {
    await sleep(clock, jitteredMs(everyMs, 0.2, random), signal);
    try {
      await agreeOnTokens(ports);
      say(undefined);
    } catch (error) {
      signal.throwIfAborted();
      say(`tokens cannot be compared with the other servers’: ${messageOf(error)}`);
    }
  }
}

/** One look. @throws what etcd, a file or the seal fails with */
export async function agreeOnTokens({
  etcd,
  files,
  log,
  signal,
}: Omit<KeepTokensPorts, 'clock' | 'random'>): Promise<void> {
  const own = await tokenRotation(files);
  const stored = await etcd.get(tokensKey, signal);
  const theirs = stored === undefined ? undefined : recordSchema.parse(parseJson(stored));
  if ((theirs?.number ?? 0) < own.number) {
    const sealed = await sealWithToken(JSON.stringify(await readPasswords(files)), await sealingKey(files));
    const record: z.infer<typeof recordSchema> = { version: 1, ...own, sealed };
    await etcd.put(tokensKey, JSON.stringify(record), signal);
    log('the tokens were rotated here: the other servers take the new ones');
  } else if (theirs !== undefined && theirs.id !== own.id) {
    const content = contentSchema.parse(JSON.parse(await unsealWithToken(theirs.sealed, await sealingKey(files))));
    await takeRotation(files, content, theirs);
    log('the tokens were rotated at another server: the new ones count here too');
  }
}

/** All servers have it, and who has it could do worse. */
const sealingKey = ({ serverTls }: Pick<Layout, 'serverTls'>): Promise<string> =>
  readFile(path.join(serverTls, 'server-ca.key'), 'utf8');
