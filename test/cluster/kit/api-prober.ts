/** A prober of an API server as a process of its own, and what its answers say of an interval. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

export interface Probed {
  readonly kind: 'read' | 'write';
  readonly startMs: number;
  readonly endMs: number;
  /** Absent: answered well. */
  readonly why?: string;
}

export interface ApiProber extends AsyncDisposable {
  readonly all: readonly Probed[];
}

export function apiProber(tls: string, port: number): ApiProber {
  const script = path.join(import.meta.dirname, 'probe-api.mjs');
  const child = spawn(process.execPath, [script, tls, String(port)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  const all: Probed[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => all.push(JSON.parse(line) as Probed));
  return {
    all,
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await ended;
    },
  };
}

export interface Suffered {
  /** Longest time between two good answers. */
  readonly longestGapMs: number;
  readonly failures: number;
  readonly requests: number;
}

/** What a client of one kind suffered from `fromMs` to `toMs` (wall clock), the last good answer before it included. */
export function suffered(all: readonly Probed[], kind: Probed['kind'], fromMs: number, toMs: number): Suffered {
  const answers = all.filter((one) => one.kind === kind);
  const good = answers.filter(({ why }) => why === undefined).map(({ endMs }) => endMs);
  const inside = good.filter((endMs) => endMs > fromMs && endMs < toMs);
  const marks = [Math.max(fromMs, good.findLast((endMs) => endMs <= fromMs) ?? fromMs), ...inside, toMs];
  const gaps = marks.slice(1).map((mark, index) => mark - (marks[index] ?? mark));
  const asked = answers.filter(({ endMs }) => endMs > fromMs && endMs < toMs);
  return {
    longestGapMs: Math.max(...gaps),
    failures: asked.filter(({ why }) => why !== undefined).length,
    requests: asked.length,
  };
}
