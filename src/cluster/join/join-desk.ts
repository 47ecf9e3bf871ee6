/**
 * Answers joining machines: who may ask, what they may have. One function from a request to an
 * answer; the port that listens is join-server.ts.
 *
 * Order of every answer: the path, the address's past failures, the token, the node's password, the
 * body. Nothing of the body is looked at before the sender has proven that it may speak, and no
 * answer or log line repeats a secret.
 */
import * as z from 'zod';
import { StartupError } from '../../error/startup-error.ts';
import { shorten, singleLine } from '../../error/text.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { FailureLimit } from './failure-limit.ts';
import { checkRequest, issue, type Signers } from './issue.ts';
import { sealWithToken } from './seal.ts';
import { sameSecret, type TokenUser } from './token.ts';
import {
  certificateRequest,
  serverSettings,
  nodeName,
  paths,
  type AuthorityFiles,
  type Bootstrap,
  type CriticalSettings,
  type IssuedCertificate,
  type KnownServers,
} from './wire.ts';

/** Of the log, when a stranger's words are in it. */
const longestLine = 500;

export interface JoinRequest {
  readonly method: string;
  readonly path: string;
  /** Address of the sender, for the limit of failures and the log. */
  readonly remote: string;
  readonly authorization?: string | undefined;
  /** Node of whose certificate the sender has proven to have the key. */
  readonly certifiedNode?: string | undefined;
  readonly nodeName?: string | undefined;
  readonly nodePassword?: string | undefined;
  readonly body: string;
}

export interface JoinAnswer {
  readonly status: number;
  readonly type: 'text/plain' | 'application/json';
  readonly body: string;
}

/** What the desk gives away, read anew for each answer: all of it may be renewed or rotated meanwhile. */
export interface JoinDeskPorts {
  readonly clock: Clock;
  readonly limit: FailureLimit;
  readonly passwords: () => Promise<Readonly<Record<TokenUser, string>>>;
  readonly authorities: () => Promise<{ readonly server: string; readonly client: string }>;
  readonly signers: () => Promise<Signers>;
  readonly authorityFiles: () => Promise<AuthorityFiles>;
  readonly servers: () => Promise<KnownServers>;
  readonly settings: CriticalSettings;
  /** Undefined: this server has no part in one. */
  readonly vipApiserver?: string | undefined;
  /** True when the name is free or this is its password; keeps it from then on. @throws when that cannot be found out at present */
  readonly claimNode: (name: string, password: string) => Promise<boolean>;
  readonly log: (line: string) => void;
}

/** A refusal with its HTTP status. */
class Refused extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

type Handler = (request: JoinRequest, ports: JoinDeskPorts) => Promise<JoinAnswer>;

interface Route {
  readonly method: 'GET' | 'POST';
  /** Whose token is needed; undefined: nobody's. A server's token is good for everything. */
  readonly user?: TokenUser;
  readonly handle: Handler;
}

const routes: Readonly<Record<string, Route>> = {
  [paths.ping]: { method: 'GET', handle: () => Promise.resolve(text('pong')) },
  [paths.authority]: { method: 'GET', handle: async (_, ports) => text((await ports.authorities()).server) },
  [paths.servers]: { method: 'GET', user: 'node', handle: async (_, ports) => json(await ports.servers()) },
  [paths.nodeSettings]: { method: 'GET', user: 'node', handle: (_, ports) => Promise.resolve(json(ports.settings)) },
  [paths.certificates]: { method: 'POST', user: 'node', handle: certificate },
  [paths.bootstrap]: { method: 'POST', user: 'server', handle: bootstrap },
  [paths.settings]: { method: 'POST', user: 'server', handle: compareSettings },
};

export async function answerJoin(request: JoinRequest, ports: JoinDeskPorts): Promise<JoinAnswer> {
  try {
    const route = Object.hasOwn(routes, request.path) ? routes[request.path] : undefined;
    if (route === undefined) throw new Refused(404, 'ERR_NOT_FOUND', 'there is nothing at this path');
    if (route.method !== request.method)
      throw new Refused(405, 'ERR_METHOD', `only ${route.method} is understood here`);
    if (route.user !== undefined) await authenticate(request, route.user, ports);
    return await route.handle(request, ports);
  } catch (error) {
    return refusal(error, request, ports);
  }
}

async function authenticate(request: JoinRequest, needed: TokenUser, ports: JoinDeskPorts): Promise<void> {
  // Who has joined stays, whatever became of the token; but as nobody else than it was.
  const { certifiedNode, nodeName: name = certifiedNode } = request;
  if (needed === 'node' && certifiedNode !== undefined && certifiedNode === name) return;
  if (!ports.limit.mayTry(request.remote)) {
    throw new Refused(429, 'ERR_TOO_MANY', 'too many wrong tokens came from this address; try again in a while');
  }
  const given = credentialsOf(request.authorization);
  if (given === undefined) throw new Refused(401, 'ERR_TOKEN', 'a token is needed');
  const passwords = await ports.passwords();
  const mayBe: readonly TokenUser[] = needed === 'server' ? ['server'] : ['server', 'node'];
  // All are compared, whichever fits: the time of an answer tells nothing.
  const fits = mayBe.map((user) => sameSecret(`${user}:${passwords[user]}`, given));
  if (fits.includes(true)) return;
  ports.limit.failed(request.remote);
  throw new Refused(401, 'ERR_TOKEN', `this is not the ${needed} token of this cluster`);
}

/** "user:password" of basic authentication. Source: RFC 7617. */
function credentialsOf(header: string | undefined): string | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/]{1,2048}={0,2})$/i.exec(header ?? '')?.[1];
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('utf8');
}

async function certificate(request: JoinRequest, ports: JoinDeskPorts): Promise<JoinAnswer> {
  const name = nodeName.safeParse(request.nodeName);
  const password = request.nodePassword ?? '';
  if (!name.success) throw new Refused(400, 'ERR_BODY', 'the name of the node is missing or no node name');
  if (password.length < 16 || password.length > 256) {
    throw new Refused(400, 'ERR_BODY', 'the password of the node must have 16 to 256 characters');
  }
  // Before the name is claimed: what is refused leaves nothing behind.
  const wanted = read(certificateRequest, request.body);
  refuseSharedAddress(wanted.ips, ports);
  const asked = await checkRequest({ request: wanted, nodeName: name.data });
  const isOwner = await ports.claimNode(name.data, password).catch((error: unknown) => {
    ports.log(`cannot look up the password of node ${name.data}: ${String(error)}`);
    throw new Refused(503, 'ERR_NOT_YET', 'passwords of nodes cannot be looked up yet: the API does not answer');
  });
  if (!isOwner) {
    ports.limit.failed(request.remote);
    throw new Refused(
      403,
      'ERR_NODE_PASSWORD',
      `the name ${name.data} belongs to another node; choose another one, or delete that node first`,
    );
  }
  const [signers, authorities] = await Promise.all([ports.signers(), ports.authorities()]);
  const signed = await issue(asked, signers, ports.clock.wallMs());
  ports.log(`signed ${asked.purpose} for node ${name.data} at ${request.remote}`);
  const answer: IssuedCertificate = {
    certificate: signed,
    clientAuthority: authorities.client,
    serverAuthority: authorities.server,
  };
  return json(answer);
}

/** Whoever could prove to be it would be told the tokens of those who join through it. */
function refuseSharedAddress(ips: readonly string[], { vipApiserver }: JoinDeskPorts): void {
  if (vipApiserver === undefined || !ips.includes(vipApiserver)) return;
  throw new Refused(
    403,
    'ERR_JOIN_REFUSED',
    `the certificate is refused: ${vipApiserver} is the address of the API servers (--vip-apiserver), and no node's own; a node has another --node-ip`,
  );
}

async function bootstrap(request: JoinRequest, ports: JoinDeskPorts): Promise<JoinAnswer> {
  const [authorities, passwords] = await Promise.all([ports.authorityFiles(), ports.passwords()]);
  const content: Bootstrap = { authorities, nodePassword: passwords.node };
  ports.log(`gave the authorities, sealed, to ${request.remote}`);
  return json({ sealed: await sealWithToken(JSON.stringify(content), passwords.server) });
}

async function compareSettings(request: JoinRequest, ports: JoinDeskPorts): Promise<JoinAnswer> {
  const { vipApiserver: theirVip, ...theirs } = read(serverSettings, request.body);
  const names = Object.keys(theirs) as (keyof CriticalSettings)[];
  const different = names.filter((name) => theirs[name] !== ports.settings[name]);
  const differences = different.map((name) => `${name} is ${theirs[name]} there and ${ports.settings[name]} here`);
  const { vipApiserver: ourVip } = ports;
  // A server without it has no part in it, and nothing that others have.
  if (theirVip !== undefined && ourVip !== undefined && theirVip !== ourVip)
    differences.push(`vipApiserver is ${theirVip} there and ${ourVip} here`);
  if (differences.length === 0) return Promise.resolve(json({}));
  throw new Refused(409, 'ERR_SETTINGS', `the servers of one cluster must agree: ${differences.join('; ')}`);
}

function read<T>(schema: z.ZodType<T>, body: string): T {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new Refused(400, 'ERR_BODY', 'the body is no JSON');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.slice(0, 3).map(({ path, message }) => `${path.join('.') || 'it'}: ${message}`);
  throw new Refused(400, 'ERR_BODY', `the body is not understood: ${issues.join('; ')}`);
}

const text = (body: string): JoinAnswer => ({ status: 200, type: 'text/plain', body });
const json = (value: object): JoinAnswer => ({ status: 200, type: 'application/json', body: JSON.stringify(value) });

function refusal(error: unknown, { path, remote }: JoinRequest, { log }: JoinDeskPorts): JoinAnswer {
  const { status, code, message } =
    error instanceof Refused
      ? error
      : error instanceof StartupError && error.code === 'ERR_JOIN_REFUSED'
        ? { status: 403, code: error.code, message: error.message }
        : { status: 500, code: 'ERR_INTERNAL', message: 'the server could not answer; its log says why' };
  // One line, whatever a stranger has put into it.
  log(shorten(singleLine(`refused ${remote} at ${path.slice(0, 100)}: ${String(status)} ${message}`), longestLine));
  if (status === 500) log(`internal error: ${String(error)}`);
  return { status, type: 'application/json', body: JSON.stringify({ code, message }) };
}
