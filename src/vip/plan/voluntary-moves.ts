/**
 * When addresses may be moved though nothing forces it: in a maintenance window, for a while after an
 * operator has asked for it, and at any time where there is no window. Pure: the time is handed in.
 */
import { parseMaintenanceWindow, type MaintenanceWindow, type WindowState } from './maintenance-window.ts';

/** `rebalance` is as a window of this length: enough for a thousand moves at their pace. */
export const rebalanceForMs = 10 * 60_000;

/** @throws RangeError that says what is wrong with one of them */
export const parseMaintenanceWindows = (texts: readonly string[]): MaintenanceWindow | undefined =>
  texts.length === 0 ? undefined : anyOf(texts.map(parseMaintenanceWindow));

/** Windows that follow each other without a pause are told as one, up to so many. */
const mostInARow = 100;

/** Open while one of them is. */
function anyOf(windows: readonly MaintenanceWindow[]): MaintenanceWindow {
  const openAt = (wallMs: number) => windows.map((each) => each.at(wallMs)).filter(({ isOpen }) => isOpen);
  return {
    at(wallMs) {
      const now = windows.map((each) => each.at(wallMs));
      if (!now.some(({ isOpen }) => isOpen)) {
        return { isOpen: false, changesAtMs: least(now.map(({ changesAtMs }) => changesAtMs)) };
      }
      let closesAtMs = wallMs;
      for (let count = 0; count < mostInARow; count += 1) {
        const open = openAt(closesAtMs);
        if (open.length === 0) break;
        closesAtMs = Math.max(...open.map(({ changesAtMs }) => changesAtMs ?? closesAtMs));
      }
      return { isOpen: true, changesAtMs: closesAtMs };
    },
  };
}

/** @param rebalanceUntilMs - what an operator asked for, by the wall clock */
export function voluntaryMoves(
  window: MaintenanceWindow | undefined,
  rebalanceUntilMs: number | undefined,
  wallMs: number,
): WindowState {
  if (window === undefined) return { isOpen: true, changesAtMs: undefined };
  const asked = rebalanceUntilMs !== undefined && rebalanceUntilMs > wallMs ? rebalanceUntilMs : undefined;
  const { isOpen, changesAtMs } = window.at(wallMs);
  if (asked === undefined) return { isOpen, changesAtMs };
  if (!isOpen) return { isOpen: true, changesAtMs: asked };
  return { isOpen, changesAtMs: changesAtMs === undefined ? undefined : Math.max(changesAtMs, asked) };
}

function least(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
