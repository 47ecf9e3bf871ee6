/** What holds of a balancer and of its connections, dials and checks, whatever has happened. */
import type { ServerRef } from '../../src/balancer/routing-input.ts';
import { isAnswerDue, isDialable, isProven, isUnheard, isWell, type Server } from '../../src/balancer/routing-state.ts';
import { own, type Command } from './routing-commands.ts';
import type { Routing } from './routing-kit.ts';

export interface Connection {
  readonly server: ServerRef;
  /** Undefined: nobody has told it to end. */
  endsByMs: number | undefined;
}

export interface Dial {
  readonly server: ServerRef;
  isGivenUp: boolean;
}

/** The balancer, and what there is because of its effects. */
export interface View {
  readonly routing: Routing;
  readonly connections: readonly Connection[];
  readonly dials: readonly Dial[];
  /** Incarnations whose checks go on. */
  readonly checked: ReadonlySet<number>;
}

/** Far faster than `expect`, of which there would be a million. */
function hold(invariant: string, holds: boolean): void {
  if (!holds) throw new Error(`does not hold: ${invariant}`);
}

const connectionsOf = ({ connections }: View, { incarnation }: Server) =>
  connections.filter(({ server }) => server.incarnation === incarnation);
const areEnding = (connections: readonly Connection[]) => connections.every(({ endsByMs }) => endsByMs !== undefined);

/** After each input. */
export function holdAlways(view: View): void {
  holdOfList(view);
  for (const server of view.routing.state.servers) holdOfServer(server, view);
  for (const { server, isGivenUp } of view.dials) {
    const entry = entryOf(view, server);
    hold('a dial of a removed server is given up', isGivenUp || (entry !== undefined && isDialable(entry)));
  }
  for (const { server } of view.connections) {
    hold('no connection without its server', entryOf(view, server) !== undefined);
  }
}

const entryOf = ({ routing }: View, { incarnation }: Pick<Server, 'incarnation'>) =>
  routing.state.servers.find((server) => server.incarnation === incarnation);

function holdOfList({ routing, checked }: View): void {
  const { servers, pinned, rules } = routing.state;
  if (rules.policy === 'sticky') {
    hold('one active', servers.filter(({ state }) => state === 'active').length <= 1);
  }
  const order = routing.order();
  const dialable = servers.filter(isDialable).map(({ address }) => address);
  hold('every server is a candidate, and no removed one', String([...order].sort()) === String([...dialable].sort()));
  hold('never without a candidate', order.length > 0 || !servers.some(({ isListed }) => isListed));
  hold('one entry each', new Set(servers.map(({ address }) => address)).size === servers.length);
  hold(
    'a balancer is not its own server',
    servers.every(({ address }) => address !== own),
  );
  hold('a pin ends with its server', pinned === undefined || dialable.includes(pinned));
  hold(
    'weights can be drawn by',
    servers.every(({ weight }) => Number.isFinite(weight) && weight >= 0),
  );
  const incarnations = servers.filter(isDialable).map(({ incarnation }) => incarnation);
  hold(
    'who may be dialled is checked, and nobody else',
    checked.size === incarnations.length && incarnations.every((each) => checked.has(each)),
  );
}

function holdOfServer(server: Server, view: View): void {
  const { address, state, connections, closingByMs, sinceMs } = server;
  const { servers, rules } = view.routing.state;
  const mine = connectionsOf(view, server);
  const lastMs = Math.max(...mine.map(({ endsByMs }) => endsByMs ?? Number.POSITIVE_INFINITY));
  const isAnyWell = servers.some((other) => isWell(other) && !other.isDraining);
  hold(`connections of ${address}: ${String(connections)} are ${String(mine.length)}`, connections === mine.length);
  hold('what is believed to be closing is, and no later', closingByMs === undefined || lastMs <= closingByMs);
  if (state === 'invalid') {
    hold('connections of a removed server are being closed', areEnding(mine));
    hold('and have no more than their grace', lastMs <= sinceMs + rules.graces.removedMs);
    hold('a removed server is gone with its last connection', connections > 0);
  }
  const hasReason = server.isListed || server.isDefault || server.isLeaving;
  hold(`${address} is there for a reason`, hasReason === (state !== 'invalid'));
  hold('standby is the default alone', state !== 'standby' || (server.isDefault && !server.isListed));
  hold(
    'a server of a silent machine is not routed to while there is another',
    !isUnheard(server) || ['invalid', 'failed', 'standby'].includes(state),
  );
  if (!isAnyWell) return;
  hold('the fall-back is left', state !== 'standby' || areEnding(mine));
  const isWaitedFor = isAnswerDue(server) && !isOutlived(server, servers);
  hold('a failed server is left', state !== 'failed' || areEnding(mine) || isWaitedFor);
  hold('what a drained server carries is given to another', !server.isDraining || areEnding(mine));
}

/** A server that is well has answered since this one is silent. */
const isOutlived = ({ lastError }: Server, servers: readonly Server[]): boolean =>
  servers.some((other) => isWell(other) && (other.answeredAtMs ?? 0) >= (lastError?.silentSinceMs ?? 0));

/** Of what one input has changed. */
export function holdBetween(before: readonly Server[], command: Command, view: View): void {
  const { servers, rules } = view.routing.state;
  for (const old of before) {
    const server = entryOf(view, old);
    if (server === undefined) continue;
    const mine = connectionsOf(view, server);
    const isDropped = (old.isListed || old.isLeaving) && !server.isListed && !server.isLeaving;
    hold('connections of who is no longer in the list are being closed', !isDropped || areEnding(mine));
    const isBack = (!isDialable(old) && isDialable(server)) || (old.isDraining && !server.isDraining);
    if (isBack && server.closingByMs === undefined) {
      hold(
        'who is wanted again keeps its connections',
        mine.every(({ endsByMs }) => endsByMs === undefined),
      );
    }
    const makesWay = old.state !== 'preferred' && server.state === 'preferred' && rules.policy === 'sticky';
    if (makesWay && servers.some(({ state, isSuspect }) => state === 'active' && !isSuspect)) {
      hold('who makes way for the active server is left', areEnding(mine));
    }
    const saidNo = command.do === 'check' && command.outcome === 'failed' && command.server === old.address;
    if (saidNo && isWell(old) && servers.some((other) => other !== server && isWorthADial(other))) {
      hold('who says no has its connections closed at once', mine.length === 0);
    }
  }
  if (command.do !== 'update') return;
  hold('an update never leaves nobody', !before.some(isDialable) || servers.some(isDialable));
  const hadAnswered = before.some((server) => server.isListed && isProven(server));
  hold('an update evicts nobody for strangers', !hadAnswered || servers.some(isProven));
}

const isWorthADial = (server: Server): boolean =>
  isDialable(server) && server.state !== 'failed' && !isUnheard(server) && !server.isDraining;
