/**
 * Events as lines for a log, a pipe or a container's output: `+0.46s etcd ready (0.44 s)`.
 * Said is what changes what a person would do; the rest is in `--json` and in the log file.
 */
import { createColors } from 'picocolors';
import { oneLine, renderError } from '../error/render.ts';
import type { ReadinessError } from '../error/readiness-error.ts';
import type { Envelope, EventOf } from '../event/event.ts';
import { describePlan, isEmptyPlan } from '../event/reload-plan.ts';
import { formatDurationMs } from '../kernel/duration.ts';
import { unreachable } from '../kernel/unreachable.ts';
import { diagnosticsOf, renderDiagnostics } from '../unit/diagnostic.ts';
import { isUp, type UnitSnapshot, type WaitingFor } from '../unit/state.ts';
import { emptyModel, fold, selfMs, type Model, type UnitView } from './model.ts';
import type { Reporter } from './reporter.ts';

export interface PlainOptions {
  /** Takes one or more whole lines, with the line break. */
  write(text: string): void;
  readonly colour?: boolean;
  /** Columns for wrapping the chain of an error; not wrapped without it. */
  readonly width?: number;
}

/** A subscriber that writes lines. */
export function plainReporter({ write, colour = false, width }: PlainOptions): Reporter {
  const model = emptyModel();
  const lines = plainLines({ colour, ...(width === undefined ? {} : { width }) });
  return {
    onEvent(envelope) {
      const said = lines(model, envelope);
      if (said.length > 0) write(`${said.join('\n')}\n`);
    },
    onDropped: (count) => write(`(${String(count)} events dropped: this output is too slow)\n`),
    say: (text) => write(text.endsWith('\n') ? text : `${text}\n`),
    close: () => undefined,
  };
}

type Style = ReturnType<typeof createColors>;

/**
 * Returns the function that folds an event into the model and says it in zero or more lines.
 * It remembers which failures it has already told in full.
 */
export function plainLines(options: {
  readonly colour: boolean;
  readonly width?: number;
}): (model: Model, envelope: Envelope) => string[] {
  const style = createColors(options.colour);
  const toldInFull = new Map<string, string>();
  const toldSteps = new Map<string, string>();

  const failed = (unit: string, error: ReadinessError, model: Model): string[] => {
    const key = error.message;
    if (toldInFull.get(unit) === key) return [style.red(`${unit} still fails: ${oneLine(error)}`)];
    toldInFull.set(unit, key);
    const nextRetry = model.units.get(unit)?.nextRetryAt;
    const retry = nextRetry === undefined ? '' : '; it is tried again from time to time';
    const [first = '', ...rest] = renderError(error, options).split('\n');
    return [`${style.red(`${unit} failed`)}${retry}: ${first}`, ...rest];
  };

  const say = (model: Model, before: UnitView | undefined, envelope: Envelope): string[] => {
    const { event, monotonicMs } = envelope;
    switch (event.type) {
      case 'up.started':
        return [`starting ${plural(event.units.length, 'unit')}`];
      case 'up.ready':
        return [
          model.readyAt?.monotonicMs === monotonicMs
            ? style.green(`everything is ready (${formatDurationMs(event.elapsedMs)})`)
            : style.green('everything is ready again'),
        ];
      case 'up.lost':
        return [style.yellow(`${event.unit} is not ready any more`)];
      case 'control.asked':
        return event.units.length === 0 ? [] : [`${event.action} on request: ${event.units.join(', ')}`];
      case 'reload.started':
        return describePlan(event.plan).map((line) => `reload: ${line}`);
      case 'reload.finished':
        return reloadLines(event, style);
      case 'reload.refused': {
        const diagnostics = diagnosticsOf(event.error);
        const text = diagnostics === undefined ? renderError(event.error, options) : renderDiagnostics(diagnostics);
        return [style.red('reload: nothing was changed'), ...text.split('\n')];
      }
      case 'down.started':
        return [`stopping: ${event.reason}`];
      case 'down.finished':
        return [
          event.leftovers.length === 0
            ? `everything is stopped (${formatDurationMs(event.elapsedMs)})`
            : style.red(`stopped, but ${plural(event.leftovers.length, 'thing')} could not be cleared`),
          ...event.leftovers.map((line) => `  ${line}`),
        ];
      case 'unit.state':
        return stateLines(event, model, before, style, monotonicMs);
      case 'unit.waiting':
        // One that only waits for others that wait adds nothing: those say what for. The log has all.
        return event.snapshot.waitingFor.every(({ state }) => state === 'waiting')
          ? []
          : [waitingLine(event.unit, event.snapshot, model, monotonicMs)];
      case 'unit.failed':
        return failed(event.unit, event.error, model);
      case 'process.stopping':
        return event.signal === 'SIGKILL'
          ? [
              style.yellow(
                `${event.unit}: SIGKILL to ${plural(event.remaining.length, 'process', 'processes')} that did not end`,
              ),
            ]
          : [];
      case 'notice':
        return [event.level === 'warning' ? style.yellow(event.text) : event.text];
      case 'budget.exceeded':
        return [style.yellow(budgetText(event))];
      case 'process.adopted': {
        const since = formatDurationMs(Math.max(0, envelope.wallMs - event.startedWallMs));
        return [
          event.finished
            ? `${event.unit} stands: it was done ${since} ago`
            : `${event.unit} adopted: pid ${String(event.pid)} runs since ${since}`,
        ];
      }
      case 'leftover.found':
        return [
          style.yellow(
            `${event.unit}: ending ${plural(event.pids.length, 'process', 'processes')} of an earlier run (pid ${event.pids.join(', ')}): ${event.reason}`,
          ),
        ];
      case 'component.progress': {
        if (toldSteps.get(event.component) === event.step) return [];
        toldSteps.set(event.component, event.step);
        return [progressText(event)];
      }
      case 'unit.gate':
      case 'process.spawned':
      case 'process.exited':
      case 'probe.attempt':
      case 'probe.hint':
      case 'notify.status':
      case 'notify.figures':
        return [];
      default:
        return unreachable(event);
    }
  };

  return (model, envelope) => {
    const { event } = envelope;
    const before = event.type === 'unit.state' ? model.units.get(event.unit) : undefined;
    fold(model, envelope);
    const [first, ...rest] = say(model, before, envelope);
    if (first === undefined) return [];
    const sinceMs = envelope.monotonicMs - (model.startedAt?.monotonicMs ?? envelope.monotonicMs);
    return [`${style.dim(`+${(sinceMs / 1000).toFixed(2)}s`)} ${first}`, ...rest];
  };
}

function stateLines(
  { unit, snapshot, from }: EventOf<'unit.state'>,
  model: Model,
  before: UnitView | undefined,
  { green, yellow, red }: Style,
  nowMs: number,
): string[] {
  const { state, lastError } = snapshot;
  if (state === from) return [];
  const view = model.units.get(unit);
  switch (state) {
    case 'ready':
    case 'done': {
      const isAgain = before?.readyAt !== undefined;
      const ownMs = view === undefined || isAgain ? undefined : selfMs(view);
      const effort = ownMs === undefined ? '' : ` (${formatDurationMs(ownMs)})`;
      const without = snapshot.degraded.map((each) => `${each.unit} (${each.reason})`).join(', ');
      const line = `${green(`${unit} ${state}`)}${isAgain ? ' again' : ''}${effort}`;
      return [without === '' ? line : `${line}, ${yellow(`without ${without}`)}`];
    }
    case 'unhealthy':
      return [yellow(`${unit} unhealthy: ${reasonOf(lastError)}`)];
    case 'backoff':
      return [yellow(`${unit} is tried again ${retryText(snapshot, nowMs)}: ${reasonOf(lastError)}`)];
    case 'blocked':
      return [red(`${unit} blocked: ${reasonOf(lastError)}`)];
    case 'stopped':
      if (snapshot.stoppedByUser === true) return [`${unit} stopped by the user`];
      return isUp(from) || from === 'stopping' ? [`${unit} stopped`] : [];
    case 'inactive':
    case 'waiting':
    case 'starting':
    case 'stopping':
    case 'failed': // `unit.failed` follows and says it with its chain
      return [];
    default:
      return unreachable(state);
  }
}

function reloadLines({ plan, rolledBack, waiting, elapsedMs }: EventOf<'reload.finished'>, style: Style): string[] {
  const back = rolledBack.map(({ unit, error }) =>
    style.red(`reload: ${unit} is back to its previous definition: ${reasonOf(error)}`),
  );
  const late = waiting.map((unit) => style.yellow(`reload: ${unit} still waits for others`));
  if (back.length + late.length > 0) return [...back, ...late];
  return isEmptyPlan(plan) ? [] : [style.green(`reloaded (${formatDurationMs(elapsedMs)})`)];
}

function waitingLine(unit: string, snapshot: UnitSnapshot, model: Model, nowMs: number): string {
  const reasons = snapshot.waitingFor.map((gate) => gateText(gate, model, nowMs)).join(', ');
  return `${unit} waits for ${reasons === '' ? 'its turn' : reasons}`;
}

/** `etcd (starting since 0.9 s: notify: no READY=1 yet)` */
function gateText({ unit, state, since, lastError, kind }: WaitingFor, model: Model, nowMs: number): string {
  const view = model.units.get(unit);
  const detail = lastError === undefined ? checkText(view?.lastCheck) : oneLine(lastError);
  const soft = kind === 'hard' ? '' : `${kind}, `;
  const forText = formatDurationMs(Math.max(0, nowMs - since.monotonicMs));
  return `${unit} (${soft}${state} for ${forText}${detail === '' ? '' : `: ${detail}`})`;
}

const checkText = (last: { readonly check: string; readonly outcome: string } | undefined) =>
  last === undefined ? '' : `${last.check}: ${last.outcome}`;

const reasonOf = (error: ReadinessError | undefined) => (error === undefined ? 'no error is known' : oneLine(error));

function retryText({ nextRetryAt }: UnitSnapshot, nowMs: number): string {
  return nextRetryAt === undefined ? 'soon' : `in ${formatDurationMs(Math.max(0, nextRetryAt.monotonicMs - nowMs))}`;
}

/** `building kubernetes: compile (0 ms of about 9 m 0 s)` */
export function progressText({ component, step, elapsedMs, estimateMs }: EventOf<'component.progress'>): string {
  const estimate = estimateMs === undefined ? '' : ` of about ${formatDurationMs(estimateMs)}`;
  return `building ${component}: ${step} (${formatDurationMs(elapsedMs)}${estimate})`;
}

/** `over budget: kube-apiserver took 8.0 s of 8.0 s: certificates 0.38 s → etcd 0.19 s → kube-apiserver 8.0 s` */
export function budgetText({ subject, limitMs, elapsedMs, chain }: EventOf<'budget.exceeded'>): string {
  const what = subject === 'total' ? 'the start' : subject;
  const links = chain.map(({ unit, selfMs: ownMs }) => `${unit} ${formatDurationMs(ownMs)}`).join(' → ');
  const took = `over budget: ${what} took ${formatDurationMs(elapsedMs)} of ${formatDurationMs(limitMs)}`;
  return links === '' ? took : `${took}: ${links}`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${String(count)} ${count === 1 ? one : many}`;
}
