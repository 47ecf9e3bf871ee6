/**
 * What a joining machine asks of a server that find-cluster.ts has found and proven: certificates for
 * a node, the authorities for a server, who else is there, whether the settings agree.
 */
import * as z from 'zod';
import { StartupError } from '../../error/startup-error.ts';
import type { Clock } from '../../kernel/clock.ts';
import { parseJson } from '../../kernel/json.ts';
import type { FoundCluster } from './find-cluster.ts';
import { joinRequest, type ClientIdentity } from './join-request.ts';
import { unsealWithToken } from './seal.ts';
import type { Token } from './token.ts';
import {
  bootstrap,
  criticalSettings,
  issuedCertificate,
  knownServers,
  nodeHeaders,
  paths,
  refusal,
  sealedBootstrap,
  type Bootstrap,
  type CertificateRequest,
  type CriticalSettings,
  type ServerSettings,
  type IssuedCertificate,
  type KnownServers,
} from './wire.ts';

export interface JoinClientOptions {
  readonly cluster: Pick<FoundCluster, 'origin' | 'connectTo' | 'authority'>;
  readonly token: Token;
  /** Of a node that has joined before: good even when the token is not any more. */
  readonly identity?: ClientIdentity | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Every call throws StartupError: ERR_TOKEN when the token is not (any more) of this cluster,
 * ERR_JOIN_REFUSED when asking again is of no use, ERR_JOIN when it may be; or the signal's reason.
 */
export interface JoinClient {
  certificate(request: CertificateRequest, node: NodeIdentity): Promise<IssuedCertificate>;
  /** What a server cannot make by itself; for the token of servers. */
  bootstrap(): Promise<Bootstrap>;
  servers(): Promise<KnownServers>;
  /** The cluster's own. */
  settings(): Promise<CriticalSettings>;
  /** Resolves when they agree with the cluster's. */
  compareSettings(settings: ServerSettings): Promise<void>;
}

export interface NodeIdentity {
  readonly name: string;
  readonly password: string;
}

export function joinClient({ cluster, token, identity, clock, signal }: JoinClientOptions): JoinClient {
  const { origin, connectTo, authority } = cluster;
  const authorization = `Basic ${Buffer.from(`${token.user}:${token.password}`).toString('base64')}`;

  const call = async <T>(
    path: string,
    schema: z.ZodType<T>,
    content?: { readonly body: object; readonly headers?: Readonly<Record<string, string>> },
  ): Promise<T> => {
    const reply = await joinRequest({
      origin,
      connectTo,
      authority,
      identity,
      path,
      clock,
      signal,
      headers: { authorization, ...content?.headers },
      ...(content === undefined ? {} : { method: 'POST', body: JSON.stringify(content.body) }),
    }).catch((error: unknown) => {
      if (signal.aborted) throw error;
      throw new StartupError('ERR_JOIN', `${origin}${path} gave no answer`, { origin, path }, { cause: error });
    });
    if (reply.status !== 200) throw refusalOf(origin, path, reply.status, reply.body);
    return read(path, schema, reply.body);
  };

  const read = <T>(path: string, schema: z.ZodType<T>, text: string): T => {
    const parsed = schema.safeParse(parseJson(text));
    if (parsed.success) return parsed.data;
    throw new StartupError('ERR_JOIN', `${origin}${path} answered with something else than was asked for`, {
      origin,
      path,
    });
  };

  return {
    certificate: (request, { name, password }) =>
      call(paths.certificates, issuedCertificate, {
        body: request,
        headers: { [nodeHeaders.name]: name, [nodeHeaders.password]: password },
      }),
    async bootstrap() {
      const { sealed } = await call(paths.bootstrap, sealedBootstrap, { body: {} });
      return read(paths.bootstrap, bootstrap, await unsealWithToken(sealed, token.password));
    },
    // A newer server may tell more.
    settings: () => call(paths.nodeSettings, z.object(criticalSettings.shape)),
    servers: () => call(paths.servers, knownServers),
    async compareSettings(settings) {
      await call(paths.settings, z.object({}), { body: settings });
    },
  };
}

function refusalOf(origin: string, path: string, status: number, body: string): StartupError {
  const parsed = refusal.safeParse(parseJson(body));
  const why = parsed.success ? parsed.data.message : `status ${String(status)}`;
  const detail = { origin, path, status };
  if (status === 401) return new StartupError('ERR_TOKEN', `${origin} does not take the token: ${why}`, detail);
  // Too many requests and not-yet: the same question may be answered later.
  const isFinal = status >= 400 && status < 500 && status !== 429;
  return new StartupError(isFinal ? 'ERR_JOIN_REFUSED' : 'ERR_JOIN', `${origin}: ${why}`, detail);
}
