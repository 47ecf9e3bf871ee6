/** `k3s-lite vip WHAT`: looks into the virtual IPs of the cluster, from a node of it, and steers them. */
import { isIP } from 'node:net';
import * as z from 'zod';
import { exitCode, type ExitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import { nearestName } from '../../kernel/nearest.ts';
import { vipVerbs, type OperateRequest, type VipVerb } from '../../vip/control-model.ts';
import type { CommandInput, CommandRun } from '../command.ts';
import { placeOf } from './connect.ts';
import { vipClient, type VipClient } from './vip-client.ts';
import { renderOperated, renderVipExplanation, renderVipPlan, renderVipStatus } from './vip-text.ts';

const optionsSchema = z.object({ json: z.boolean().default(false) });

interface Call {
  readonly input: CommandInput;
  readonly isJson: boolean;
  /** What follows the verb. */
  readonly words: readonly string[];
  readonly client: VipClient;
}

const lookers: Readonly<Record<string, (call: Call) => Promise<ExitCode>>> = { status, plan, explain, metrics };
const verbs = [...Object.keys(lookers), ...vipVerbs];

export const run: CommandRun = async (input) => {
  const parsed = optionsSchema.safeParse(input.options);
  if (!parsed.success) throw usage(z.prettifyError(parsed.error));
  const [verb = 'status', ...words] = input.args;
  const operation = vipVerbs.find((each) => each === verb);
  const look = Object.hasOwn(lookers, verb) ? lookers[verb] : undefined;
  if (operation === undefined && look === undefined) {
    const near = nearestName(verb, verbs);
    throw usage(
      `unknown word "${verb}"${near === undefined ? '' : `, did you mean ${near}`}? It is one of ${verbs.join(', ')}`,
    );
  }
  // What is wrong with the words is said before anybody is asked.
  const request = operation === undefined ? undefined : requestOf(operation, words);
  const client = vipClient(await placeOf(input), input.signal);
  const call = { input, isJson: parsed.data.json, words, client };
  if (operation !== undefined && request !== undefined) return operate(call, operation, request);
  return look === undefined ? exitCode.usage : look(call);
};

async function status({ input, isJson, client }: Call): Promise<ExitCode> {
  const answer = await client.status();
  input.io.out(isJson ? toJson(answer) : renderVipStatus(answer, input.io.colour));
  return exitCode.ok;
}

async function plan({ input, isJson, client }: Call): Promise<ExitCode> {
  const answer = await client.plan();
  input.io.out(isJson ? toJson(answer) : renderVipPlan(answer));
  return exitCode.ok;
}

async function explain({ input, isJson, client, words }: Call): Promise<ExitCode> {
  const answer = await client.explain(addressOf('explain', words[0]));
  input.io.out(isJson ? toJson(answer) : renderVipExplanation(answer, input.io.colour));
  return exitCode.ok;
}

async function metrics({ input, client }: Call): Promise<ExitCode> {
  input.io.out(await client.metrics());
  return exitCode.ok;
}

async function operate({ input, isJson, client }: Call, verb: VipVerb, request: OperateRequest): Promise<ExitCode> {
  const answer = await client.operate(verb, request);
  input.io.out(isJson ? toJson(answer) : renderOperated(answer));
  return exitCode.ok;
}

/** @throws StartupError ERR_USAGE that says which words the verb needs */
export function requestOf(verb: VipVerb, [first, second]: readonly string[]): OperateRequest {
  switch (verb) {
    case 'rebalance':
      return {};
    case 'pin':
      return { address: addressOf(verb, first), node: nodeOf(verb, second) };
    case 'unpin':
      return { address: addressOf(verb, first) };
    case 'drain':
    case 'undrain':
    case 'cordon':
    case 'uncordon':
      return { node: nodeOf(verb, first) };
  }
}

function addressOf(verb: string, word: string | undefined): string {
  if (word === undefined) throw usage(`vip ${verb} needs an address, like 10.1.2.3`);
  if (isIP(word) === 0) throw usage(`vip ${verb}: "${word}" is no address, like 10.1.2.3`);
  return word;
}

function nodeOf(verb: string, word: string | undefined): string {
  if (word === undefined) throw usage(`vip ${verb} needs ${verb === 'pin' ? 'an address and ' : ''}the name of a node`);
  return word;
}

const toJson = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;
const usage = (message: string): StartupError => new StartupError('ERR_USAGE', message, {});
