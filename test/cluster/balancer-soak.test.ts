/** The soak (`npm run soak`, half an hour) for seconds: real processes, a balancer built as it is shipped. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';

const isRoot = process.getuid?.() === 0;
const script = path.resolve(import.meta.dirname, '../../bench/soak.mjs');
/** 2,000 a second are meant for a quiet machine; where others work too fewer are asked for, and a twentieth of them is enough. */
const perSecond = 1_000;
const seconds = 10;
const resultSchema = z.object({
  connections: z.number(),
  perSecond: z.number(),
  lost: z.number(),
  held: z.number(),
  changes: z.number(),
  /** Of the connections: how many went to each server that was still told of at the end. */
  byServer: z.record(z.string(), z.number()),
  socketsLeft: z.number(),
});

describe.skipIf(!isRoot)('a balancer whose servers come and go all the time', () => {
  test('[L1] [L5] [L7] [L9] loses no connection of a client, and has no socket left at the end', () => {
    const words = ['--minutes', String(seconds / 60), '--rate', String(perSecond), '--seed', '1'];
    const { stdout, stderr } = spawnSync(process.execPath, [script, ...words], { encoding: 'utf8', timeout: 55_000 });
    const last = stdout.trim().split('\n').at(-1) ?? '';
    const result = resultSchema.parse(JSON.parse(last === '' ? `{"error":${JSON.stringify(stderr)}}` : last));
    console.log(
      `${String(result.perSecond)} new connections a second of ${String(perSecond)} asked for, ${String(result.changes)} changes of the list`,
    );
    expect(result, last).toMatchObject({ lost: 0, held: 200 });
    expect(result.connections).toBeGreaterThan((perSecond * seconds) / 20);
    expect(result.changes).toBeGreaterThanOrEqual(2);
    expect(result.socketsLeft).toBeLessThanOrEqual(0);
    // Of equal weights; drawn, not turned round: servers that were there for a short time have had less.
    const counts = Object.values(result.byServer);
    expect(counts.length).toBeGreaterThanOrEqual(3);
    expect(Math.max(...counts)).toBeLessThan(0.75 * result.connections);
  }, 60_000);
});
