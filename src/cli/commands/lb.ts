/** `k3s-lite lb WHAT`: looks into a running balancer and steers it. */
import * as z from 'zod';
import type { Supposition } from '../../balancer/explain.ts';
import { exitCode, type ExitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import { parseDurationMs } from '../../kernel/duration.ts';
import { nearestName } from '../../kernel/nearest.ts';
import type { CommandInput, CommandRun } from '../command.ts';
import { placeOf } from './connect.ts';
import { balancerClient, balancersIn, type BalancerClient, type WireLine } from './lb-client.ts';
import { renderEvent, renderExplanation, renderServers, renderSimulation } from './lb-text.ts';

const optionsSchema = z.object({
  name: z.string().optional(),
  grace: z.string().optional(),
  follow: z.boolean().default(false),
  since: z.coerce.number().int().min(0).optional(),
  json: z.boolean().default(false),
});

interface Call {
  readonly input: CommandInput;
  readonly given: z.infer<typeof optionsSchema>;
  /** What follows the verb. */
  readonly words: readonly string[];
  readonly clients: readonly BalancerClient[];
}

const verbs: Readonly<Record<string, (call: Call) => Promise<ExitCode>>> = {
  list,
  explain,
  drain: (call) => operate(call, 'drain'),
  undrain: (call) => operate(call, 'undrain'),
  pin: (call) => operate(call, 'pin'),
  unpin: (call) => operate(call, 'unpin'),
  simulate,
  events,
  metrics,
};

export const run: CommandRun = async (input) => {
  const parsed = optionsSchema.safeParse(input.options);
  if (!parsed.success) throw usage(z.prettifyError(parsed.error));
  const [verb = 'list', ...words] = input.args;
  const action = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (action === undefined) {
    const near = nearestName(verb, Object.keys(verbs));
    throw usage(
      `unknown word "${verb}"${near === undefined ? '' : `, did you mean ${near}`}? It is one of ${Object.keys(verbs).join(', ')}`,
    );
  }
  const paths = await placeOf(input);
  const running = balancersIn(paths);
  const { name } = parsed.data;
  const wanted = name === undefined ? running : running.filter((each) => each.name === name);
  if (wanted.length === 0) {
    const known = running.map((each) => each.name).join(', ');
    throw new StartupError(
      'ERR_CONTROL',
      name === undefined
        ? `no balancer runs for ${paths.dataDir}`
        : `no balancer ${name} runs for ${paths.dataDir}${known === '' ? '' : `; there are ${known}`}`,
      { dataDir: paths.dataDir },
    );
  }
  const clients = wanted.map((each) => balancerClient(each, input.signal));
  return action({ input, given: parsed.data, words, clients });
};

async function list(call: Call): Promise<ExitCode> {
  const { input, given } = call;
  const lists = await ofEach(call, (client) => client.servers());
  input.io.out(given.json ? toJson(lists) : renderServers(lists, input.io.colour));
  return exitCode.ok;
}

async function explain(call: Call): Promise<ExitCode> {
  const { input, given } = call;
  const explanations = await ofEach(call, (client) => client.explain());
  input.io.out(given.json ? toJson(explanations) : explanations.map(renderExplanation).join('\n'));
  return exitCode.ok;
}

async function events(call: Call): Promise<ExitCode> {
  const { input, given, clients } = call;
  const show = (line: WireLine) => input.io.out(given.json ? `${JSON.stringify(line)}\n` : renderEvent(line));
  if (given.follow) {
    for await (const line of await oneOf(call).follow(given.since)) show(line);
    return exitCode.ok;
  }
  for (const client of clients) for (const line of await client.events(given.since)) show(line);
  return exitCode.ok;
}

async function metrics({ input, clients }: Call): Promise<ExitCode> {
  for (const client of clients) input.io.out(await client.metrics());
  return exitCode.ok;
}

async function operate(call: Call, verb: 'drain' | 'undrain' | 'pin' | 'unpin'): Promise<ExitCode> {
  const { input, given, words } = call;
  const client = oneOf(call);
  const [server] = words;
  if (verb !== 'unpin' && server === undefined) throw usage(`lb ${verb} needs a server, like 10.0.0.1:6443`);
  const graceMs = given.grace === undefined ? undefined : parseDurationMs(given.grace);
  if (given.grace !== undefined && graceMs === undefined)
    throw usage(`--grace ${given.grace} is no duration, like 30s`);
  const { servers } = await client.operate(verb, {
    ...(verb === 'unpin' ? {} : { server }),
    ...(verb === 'drain' && graceMs !== undefined ? { graceMs } : {}),
  });
  const shown = [{ ...(await client.servers()), servers }];
  input.io.out(given.json ? toJson(shown) : renderServers(shown, input.io.colour));
  return exitCode.ok;
}

async function simulate(call: Call): Promise<ExitCode> {
  if (call.words.length === 0) throw usage('lb simulate needs steps, like check-failed=10.0.0.1:6443 or update=A,B');
  const simulation = await oneOf(call).simulate(call.words.map(suppositionOf));
  call.input.io.out(call.given.json ? toJson(simulation) : renderSimulation(simulation));
  return exitCode.ok;
}

const onServer = [
  'dial-ok',
  'dial-failed',
  'dial-slow',
  'check-ok',
  'check-failed',
  'drain',
  'undrain',
  'pin',
] as const;

/** "check-failed=10.0.0.1:6443", "update=A,B", "unpin". */
export function suppositionOf(word: string): Supposition {
  const [what = '', value = ''] = word.split('=', 2);
  if (what === 'unpin') return { what };
  if (what === 'update' && value !== '') return { what, servers: value.split(',') };
  const known = onServer.find((each) => each === what);
  if (known !== undefined && value !== '') return { what: known, server: value };
  throw usage(`"${word}" is no step: ${onServer.join('=SERVER, ')}=SERVER, update=SERVER,SERVER or unpin`);
}

/** What those say that answer. One that was killed leaves its socket behind: that is told, and the others are shown. */
async function ofEach<T>({ input, clients }: Call, ask: (client: BalancerClient) => Promise<T>): Promise<readonly T[]> {
  const answers = await Promise.allSettled(clients.map(ask));
  const failures = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as Error] : []));
  const [first] = failures;
  if (first !== undefined && failures.length === answers.length) throw first;
  for (const { message } of failures) input.io.err(`k3s-lite: ${message}\n`);
  return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
}

/** What changes something, or goes on, is asked of one balancer. */
function oneOf({ clients }: Call): BalancerClient {
  const [client, ...others] = clients;
  if (client === undefined || others.length > 0) {
    throw usage(`several balancers run: say which one with --name (${clients.map(({ name }) => name).join(', ')})`);
  }
  return client;
}

const toJson = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;
const usage = (message: string): StartupError => new StartupError('ERR_USAGE', message, {});
