/**
 * What `start`, `stop` and `restart` share: ask, follow the events, tell what the units do, and end
 * when it is done, when it cannot be done, or when the time is over.
 */
import type { ControlClient } from '../../control/client.ts';
import { snapshotSchema, type EventLine, type MovedReply, type WireSnapshot } from '../../control/protocol.ts';
import { timeoutOf } from '../../app/prepare.ts';
import { exitCode } from '../../error/codes.ts';
import { errorFromJson } from '../../error/from-json.ts';
import { StartupError } from '../../error/startup-error.ts';
import { linkedAbort } from '../../kernel/abort.ts';
import { systemClock } from '../../kernel/clock.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import type { CommandInput } from '../command.ts';
import { connect } from './connect.ts';

/** Source: the same patience as `up --wait`. */
const defaultTimeoutMs = 300_000;

export type Snapshots = ReadonlyMap<string, WireSnapshot>;

export interface Move {
  ask(client: ControlClient): Promise<MovedReply>;
  isDone(snapshots: Snapshots, moved: MovedReply['units']): boolean;
}

/** @throws what the server refuses; the error of a unit that cannot become ready; ERR_NOT_READY when the time is over */
export async function moveUnits(input: CommandInput, { ask, isDone }: Move): Promise<number> {
  const { io, options, signal } = input;
  const json = options['json'] === true;
  const timeoutMs = timeoutOf({ timeout: options['timeout'] as string | undefined }) ?? defaultTimeoutMs;
  if (options['wait'] === false) {
    const { client } = await connect(input);
    const moved = await ask(client);
    if (json) io.out(`${JSON.stringify(moved)}\n`);
    return exitCode.ok;
  }
  using limit = linkedAbort(signal);
  const late = new Error('late');
  using _timer = systemClock.timer(timeoutMs, () => limit.abort(late));
  const { client } = await connect({ ...input, signal: limit.signal });
  const snapshots = new Map<string, WireSnapshot>();
  let moved: MovedReply['units'] = [];
  const refresh = async () => {
    for (const unit of (await client.status()).units) snapshots.set(unit.unit, unit);
  };
  const isOver = () => {
    if (isDone(snapshots, moved)) return true;
    const stuck = moved
      .map(({ unit }) => snapshots.get(unit))
      .find((unit) => unit !== undefined && isStuck(unit, snapshots));
    if (stuck !== undefined) throw failureOf(stuck);
    return false;
  };
  try {
    // Followed before it is asked for, so that nothing of it is missed.
    const events = await client.events({ follow: true });
    moved = (await ask(client)).units;
    await refresh();
    if (isOver()) return finish(io, json, moved, snapshots);
    for await (const line of events) {
      const snapshot = snapshotIn(line);
      if ('dropped' in line) await refresh();
      if (snapshot === undefined) {
        if ('dropped' in line && isOver()) break;
        continue;
      }
      if (moved.some(({ unit }) => unit === snapshot.unit) && !json) tell(snapshot, snapshots, (text) => io.out(text));
      snapshots.set(snapshot.unit, snapshot);
      if (isOver()) break;
    }
  } catch (error) {
    if (error !== late) throw error;
    throw lateError(moved, snapshots, isDone, timeoutMs);
  } finally {
    // Ends the connection: a stream that nobody reads to its end would keep this process alive.
    limit.abort(new Error('done'));
  }
  if (!isDone(snapshots, moved)) throw new StartupError('ERR_CONTROL', 'k3s-lite ended meanwhile', { reason: 'ended' });
  return finish(io, json, moved, snapshots);
}

function finish(io: CommandInput['io'], json: boolean, moved: MovedReply['units'], snapshots: Snapshots): number {
  const units = moved.map(({ unit }) => snapshots.get(unit));
  if (json) io.out(`${JSON.stringify({ units })}\n`);
  else for (const unit of units) if (unit !== undefined) io.out(`${unit.unit} is ${stateText(unit)}\n`);
  // Stopped as far as it goes, but not all of it: exit code and text are of ERR_STOP_INCOMPLETE.
  const left = units.find((unit) => unit?.state === 'stopped' && unit.lastError?.code === 'ERR_STOP_INCOMPLETE');
  if (left?.lastError !== undefined) throw errorFromJson(left.lastError);
  return exitCode.ok;
}

/** Ready, by a later start than that one. */
export function untilUp(snapshots: Snapshots, name: string, after: number): boolean {
  const unit = snapshots.get(name);
  return unit !== undefined && unit.generation > after && (unit.state === 'ready' || unit.state === 'done');
}

/** It will not become ready without somebody mending something: it failed, or what it needs did. */
function isStuck(unit: WireSnapshot, snapshots: Snapshots, above: readonly string[] = []): boolean {
  if (unit.state === 'failed') return true;
  if (unit.state !== 'blocked') return false;
  return unit.waitingFor.some(({ unit: name, kind }) => {
    const target = snapshots.get(name);
    return (
      kind === 'hard' && target !== undefined && !above.includes(name) && isStuck(target, snapshots, [...above, name])
    );
  });
}

function failureOf({ unit, state, lastError }: WireSnapshot): Error {
  return lastError === undefined
    ? new StartupError('ERR_NOT_READY', `${unit} is ${state}`, { unit })
    : errorFromJson(lastError);
}

function lateError(moved: MovedReply['units'], snapshots: Snapshots, isDone: Move['isDone'], timeoutMs: number): Error {
  const units = moved.filter((one) => !isDone(snapshots, [one])).map(({ unit }) => snapshots.get(unit));
  const [unit] = units;
  const during = formatDurationMs(timeoutMs);
  if (unit === undefined) return new StartupError('ERR_NOT_READY', `not done after ${during}`, {});
  const cause = unit.lastError === undefined ? undefined : { cause: errorFromJson(unit.lastError) };
  const message = `${unit.unit} is still ${stateText(unit)} after ${during}`;
  return new StartupError('ERR_NOT_READY', message, { unit: unit.unit, hint: `\`k3s-lite why ${unit.unit}\`` }, cause);
}

function snapshotIn(line: EventLine): WireSnapshot | undefined {
  if (!('event' in line) || line.event.type !== 'unit.state') return undefined;
  return snapshotSchema.safeParse(line.event['snapshot']).data;
}

/** On the way: the end is told at the end. */
function tell(unit: WireSnapshot, snapshots: Snapshots, out: (text: string) => void): void {
  const before = snapshots.get(unit.unit)?.state;
  if (before === unit.state) return;
  if (unit.state === 'starting' || unit.state === 'stopping' || unit.state === 'backoff')
    out(`${unit.unit} ${unit.state}\n`);
}

function stateText({ state, stoppedByUser, degraded, pid }: WireSnapshot): string {
  const without = degraded.map((each) => `${each.unit} (${each.reason})`).join(', ');
  const how = stoppedByUser === true && state === 'stopped' ? ' by the user' : '';
  return `${state}${how}${pid === undefined ? '' : `, pid ${String(pid)}`}${without === '' ? '' : `, without ${without}`}`;
}
