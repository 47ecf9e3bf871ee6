/** docs/balancer-states.md: the server table drawn as a diagram and written in words. */
import { serverStates, stateNumber, type ServerState } from './routing-state.ts';
import { rulesOf, serverInputs, type Rule } from './server-table.ts';

const meanings: Readonly<Record<ServerState, string>> = {
  invalid: 'removed from the list: never dialled, and gone with its last connection',
  failed: 'its last dial or check failed: dialled only when nothing better is left',
  standby: 'the default server, while it is not in the list',
  unchecked: 'new: nothing is known of it',
  recovering: 'one dial or check went well since it was new or failed',
  healthy: 'well for a while',
  preferred: 'became well lately, so others may be about to go down',
  active: 'carries the connections; under `sticky` one server at most',
};

interface Arrow {
  readonly from: ServerState;
  readonly to: string;
  readonly causes: string[];
}

export function stateDiagram(): string {
  return [
    '# States of a server behind the balancer',
    '',
    'Generated from the table in `src/balancer/server-table.ts` (`npm run docs`). What is not here changes nothing.',
    '',
    '```mermaid',
    'stateDiagram-v2',
    '  [*] --> unchecked: in the list',
    '  [*] --> standby: the default, not in the list',
    ...arrows().map(({ from, to, causes }) => `  ${from} --> ${to === 'gone' ? '[*]' : to}: ${causes.join(', ')}`),
    '```',
    '',
    '| state | number in the metrics | meaning |',
    '|---|---|---|',
    ...serverStates.map((state) => `| ${state} | ${String(stateNumber(state))} | ${meanings[state]} |`),
    '',
    '| state | what happens | next state | its connections |',
    '|---|---|---|---|',
    ...rows(),
    '',
  ].join('\n');
}

const target = ({ to }: Rule): string => (to === 'claims active' ? 'active' : to);

function arrows(): readonly Arrow[] {
  const found: Arrow[] = [];
  for (const from of serverStates) {
    for (const input of serverInputs) {
      for (const rule of rulesOf(from, input)) {
        const to = target(rule);
        if (to === from) continue;
        const known = found.find((arrow) => arrow.from === from && arrow.to === to);
        if (known === undefined) found.push({ from, to, causes: [input] });
        else if (!known.causes.includes(input)) known.causes.push(input);
      }
    }
  }
  return found;
}

function rows(): readonly string[] {
  return serverStates.flatMap((state) =>
    serverInputs.flatMap((input) =>
      rulesOf(state, input).map((rule) => {
        const condition = rule.when === undefined ? '' : `, if it ${inWords(rule.when)}`;
        const claim = rule.to === 'claims active' ? ' (unless another one stays it)' : '';
        const mark = rule.mark === undefined ? '' : ` (${rule.mark})`;
        const closed = rule.close === undefined ? '' : `closed: ${rule.close}`;
        return `| ${state} | ${input}${condition} | ${target(rule)}${claim}${mark} | ${closed} |`.replaceAll(
          '|  |',
          '| |',
        );
      }),
    ),
  );
}

const inWords = (when: NonNullable<Rule['when']>): string =>
  ({
    'is the default': 'is the default',
    'has connections': 'has connections',
    'well for long enough': 'has been in this state for more than 60 s',
    'not failed by a check': 'was not failed by a check, and its machine is not silent',
    'heard of': 'is not on a silent machine',
    'has answered a check': 'has answered a check once',
    'too many in a row': 'is one too many in a row',
  })[when];
