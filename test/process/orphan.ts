/** A unit whose k3s-lite was killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { openRunRecords, type RunRecord } from '../../src/process/run-record.ts';
import type { Unit } from '../../src/unit/schema.ts';
import { bundle } from './bundle.ts';
import type { Scratch } from './scratch.ts';

/** Starts a unit by a k3s-lite of its own, kills that, and returns what it wrote down. */
export async function orphan(place: Scratch, unit: Unit, cgroupInstance?: string): Promise<RunRecord> {
  const program = await bundle('supervisor.ts', place.folder);
  const { logDir, recordDir, marker } = place;
  const order = { units: [unit], logDir, recordDir, marker, ...(cgroupInstance ? { cgroupInstance } : {}) };
  const child = spawn(process.execPath, [program, JSON.stringify(order)], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(createInterface({ input: child.stdout }), 'line');
  child.kill('SIGKILL');
  await once(child, 'exit');
  return recordOf(place, unit.name);
}

export function recordOf({ recordDir }: Scratch, unit: string): RunRecord {
  const record = openRunRecords(recordDir, () => undefined)
    .readAll()
    .find((one) => one.unit === unit);
  if (record === undefined) throw new Error(`${unit} is not recorded`);
  return record;
}
