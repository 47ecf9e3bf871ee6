/**
 * Who may call itself which node: the first to use a name keeps it by its password. All nodes have
 * the same token, so without this each could have a certificate in the name of any other.
 *
 * What is kept is a hash, as a Secret beside the cluster's own objects: every server decides alike. A
 * name is free again when its Node is gone, but not within the first minutes: a node has its
 * certificates before it has its Node.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import * as z from 'zod';
import type { Clock } from '../../kernel/clock.ts';
import { KubeApiError, unlessMissing, type KubeClient } from '../kube-client.ts';
import { deriveKey } from './derive-key.ts';

/** Source: K3s keeps `<node>.node-password.k3s` in the same namespace. */
const pathOf = (name = '') =>
  `/api/v1/namespaces/kube-system/secrets${name === '' ? '' : `/${name}.node-password.k3s-lite`}`;
/** Passwords are random and long, so the hash need not be slow. Source: RFC 7914, §2, a quarter of its interactive cost. */
const cost = { N: 4_096, r: 8, p: 1 };
const hashBytes = 32;
const derive = (password: string, salt: Buffer) => deriveKey(password, salt, hashBytes, cost);
/** A joining node has its Node object within seconds. */
const settledAfterMs = 10 * 60_000;

const secretSchema = z.object({
  metadata: z.object({ creationTimestamp: z.string() }),
  data: z.object({ hash: z.string() }),
});

export interface ClaimOptions {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'delete'>;
  readonly name: string;
  readonly password: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** True when the name was free or is kept by this password. @throws what the API refuses with, or its silence */
export async function claimNode(options: ClaimOptions): Promise<boolean> {
  const { client, name, password, clock, signal } = options;
  const kept = await unlessMissing(client.get(pathOf(name), signal));
  if (kept === undefined) return makeSecret(options);
  const { metadata, data } = secretSchema.parse(kept);
  if (await matches(password, Buffer.from(data.hash, 'base64').toString('utf8'))) return true;
  const isSettled = clock.wallMs() - Date.parse(metadata.creationTimestamp) >= settledAfterMs;
  if (!isSettled || (await unlessMissing(client.get(`/api/v1/nodes/${name}`, signal))) !== undefined) return false;
  await client.delete(pathOf(name), signal);
  return makeSecret(options);
}

/** Creating fails for all but one of those who try at once. */
async function makeSecret({ client, name, password, signal }: ClaimOptions): Promise<boolean> {
  const body = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: `${name}.node-password.k3s-lite`, labels: { 'app.kubernetes.io/managed-by': 'k3s-lite' } },
    type: 'k3s-lite.io/node-password',
    immutable: true,
    stringData: { hash: await hashOf(password, randomBytes(16)) },
  };
  try {
    await client.create(pathOf(), body, signal);
    return true;
  } catch (error) {
    if (!(error instanceof KubeApiError && error.reason === 'AlreadyExists')) throw error;
    const { data } = secretSchema.parse(await client.get(pathOf(name), signal));
    return matches(password, Buffer.from(data.hash, 'base64').toString('utf8'));
  }
}

/** "v1.<salt>.<hash>", in base64url. */
async function hashOf(password: string, salt: Buffer): Promise<string> {
  return ['v1', ...[salt, await derive(password, salt)].map((part) => part.toString('base64url'))].join('.');
}

/** A hash of another version matches nothing. */
async function matches(password: string, stored: string): Promise<boolean> {
  const [version, salt = '', hash = ''] = stored.split('.');
  const wanted = Buffer.from(hash, 'base64url');
  if (version !== 'v1' || wanted.length !== hashBytes) return false;
  return timingSafeEqual(await derive(password, Buffer.from(salt, 'base64url')), wanted);
}
