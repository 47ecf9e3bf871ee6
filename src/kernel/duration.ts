/** Durations as people write them: "250ms", "10s", "5m", "2h", "1h30m". */

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds of a written duration, or undefined if it is not one. A number without a unit is not one. */
export function parseDurationMs(text: string): number | undefined {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(text)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    totalMs += Number(amount) * unitMs[unit as keyof typeof unitMs];
  }
  return totalMs;
}

/** A duration for people: "3 ms", "0.25 s", "8.2 s", "2 m 5 s", "3 h 1 m". */
export function formatDurationMs(durationMs: number): string {
  if (durationMs < 100) return `${durationMs.toFixed(durationMs < 10 && durationMs > 0 ? 1 : 0)} ms`;
  if (durationMs < 1000) return `${(durationMs / 1000).toFixed(2)} s`;
  if (durationMs < 60_000) return `${(durationMs / 1000).toFixed(1)} s`;
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 3600) return `${String(Math.floor(seconds / 60))} m ${String(seconds % 60)} s`;
  return `${String(Math.floor(seconds / 3600))} h ${String(Math.floor((seconds % 3600) / 60))} m`;
}
