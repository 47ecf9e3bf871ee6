/** The small value types of unit files, shared by all its schemas. */
import * as z from 'zod';
import { parseBytes } from '../kernel/bytes.ts';
import { parseDurationMs } from '../kernel/duration.ts';

/** Unit names: lower case, digits, dots and dashes; `name@instance` for an instance of a template. */
export const unitNamePattern = /^[a-z0-9][a-z0-9.-]*(@[A-Za-z0-9][A-Za-z0-9._-]*)?$/;

export const unitName = z
  .string()
  .regex(unitNamePattern, 'a unit name has lower-case letters, digits, dots and dashes, and may end in @instance')
  .meta({ title: 'unit name' });

/** A duration written with its unit ("250ms", "10s", "1m30s"); parsed to milliseconds. */
export const duration = z
  .string()
  .regex(/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/, 'a duration is written with its unit, like 250ms, 10s or 1m30s')
  .transform((text) => parseDurationMs(text) ?? Number.NaN)
  .meta({ title: 'duration', examples: ['250ms', '10s', '1m30s'] });

/** An amount of memory written with its unit ("64MiB", "1.5GiB"); parsed to bytes. */
export const byteSize = z
  .string()
  .regex(
    /^\d+(?:\.\d+)?(?:B|kB|MB|GB|KiB|MiB|GiB)$/,
    'an amount of memory is written with its unit, like 64MiB or 1.5GiB',
  )
  .transform((text) => parseBytes(text) ?? Number.NaN)
  .meta({ title: 'amount of memory', examples: ['64MiB', '1.5GiB'] });

export const signalName = z
  .enum(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGKILL', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'])
  .meta({ title: 'signal' });
