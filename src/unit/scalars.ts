/** The small value types of unit files, shared by all its schemas. */
import * as z from 'zod';
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

export const signalName = z
  .enum(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGKILL', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'])
  .meta({ title: 'signal' });
