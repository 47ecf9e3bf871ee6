/**
 * The unit file: what a person writes (`z.input`) and what the program works with (`Unit`,
 * defaults filled in, durations in milliseconds). One schema gives the types, the diagnostics,
 * the JSON Schema for editors and the reference page.
 */
import * as z from 'zod';
import { capabilityNames } from './capability-names.ts';
import { healthSchema, readySchema } from './probe-schema.ts';
import { byteSize, duration, signalName, unitName } from './scalars.ts';

export const edgeKinds = ['hard', 'soft', 'parallel'] as const;
export type EdgeKind = (typeof edgeKinds)[number];

/** How long a soft edge waits. Source: design contract 1. */
export const defaultMaxWaitMs = 10_000;

const optionsOf: Record<EdgeKind, readonly string[]> = {
  hard: ['until', 'onLoss'],
  soft: ['maxWait'],
  parallel: [],
};

const rawEdge = z
  .strictObject({
    hard: unitName.optional().describe('Wait until this unit is ready; blocked when it cannot start.'),
    soft: unitName.optional().describe('Wait for this unit for a time, then start without it.'),
    parallel: unitName.optional().describe('Start this unit too, without waiting for it.'),
    until: z.enum(['ready', 'started']).optional().describe('hard: what is waited for (default ready).'),
    onLoss: z
      .enum(['keep', 'restart', 'stop'])
      .optional()
      .describe('hard: what happens to this unit when the other exits while both are up (default keep).'),
    maxWait: duration.optional().describe('soft: how long to wait at most (default 10s).'),
  })
  .superRefine((edge, context) => {
    const kinds = edgeKinds.filter((kind) => edge[kind] !== undefined);
    const [kind] = kinds;
    if (kind === undefined || kinds.length > 1) {
      context.addIssue({ code: 'custom', message: 'an edge has exactly one of hard, soft, parallel' });
      return;
    }
    for (const option of ['until', 'onLoss', 'maxWait'] as const) {
      if (edge[option] !== undefined && !optionsOf[kind].includes(option)) {
        context.addIssue({ code: 'custom', path: [option], message: `${option} does not go with a ${kind} edge` });
      }
    }
  });

export interface HardNeed {
  readonly kind: 'hard';
  readonly unit: string;
  readonly until: 'ready' | 'started';
  readonly onLoss: 'keep' | 'restart' | 'stop';
}
export interface SoftNeed {
  readonly kind: 'soft';
  readonly unit: string;
  readonly maxWaitMs: number;
}
export interface ParallelNeed {
  readonly kind: 'parallel';
  readonly unit: string;
}
export type Need = HardNeed | SoftNeed | ParallelNeed;

const edge = rawEdge.transform((raw): Need => {
  if (raw.hard !== undefined) {
    return { kind: 'hard', unit: raw.hard, until: raw.until ?? 'ready', onLoss: raw.onLoss ?? 'keep' };
  }
  if (raw.soft !== undefined) return { kind: 'soft', unit: raw.soft, maxWaitMs: raw.maxWait ?? defaultMaxWaitMs };
  return { kind: 'parallel', unit: raw.parallel ?? '' };
});

const restartSchema = z.strictObject({
  when: z
    .enum(['always', 'on-failure', 'never'])
    .default('always')
    .describe('When a service that exits is started again. A task is retried unless `never`.'),
  backoff: z
    .strictObject({
      first: duration.default(200).describe('Delay before the first restart (default 200ms).'),
      factor: z.number().min(1).max(10).default(2).describe('Growth from one delay to the next (default 2).'),
      max: duration
        .default(30_000)
        .describe('Longest delay, and the time between slow retries of a failed unit (default 30s).'),
      jitter: z.number().min(0).max(1).default(0.2).describe('Random share of each delay (default 0.2).'),
    })
    .prefault({})
    .describe('Exponential backoff between restarts.'),
  limit: z
    .strictObject({
      starts: z.number().int().min(1).default(5).describe('Failed starts until the unit counts as failed (default 5).'),
      within: duration
        .default(60_000)
        .describe('Window in which they are counted once the unit has been ready (default 60s).'),
    })
    .prefault({})
    .describe('When a unit counts as failed; it is then tried again every `backoff.max`.'),
  resetAfter: duration.default(30_000).describe('Time in ready after which the failures are forgotten (default 30s).'),
});

const stopSchema = z.strictObject({
  signal: signalName.default('SIGTERM').describe('First signal (default SIGTERM).'),
  within: duration.default(10_000).describe('Time until SIGKILL (default 10s).'),
  scope: z
    .enum(['cgroup', 'group', 'process'])
    .default('cgroup')
    .describe(
      'What must be gone: everything the unit started (default), its process group, or its main process alone.',
    ),
  successCodes: z
    .array(z.number().int().min(0).max(255))
    .default([])
    .describe('Exit codes, beside 0, that are no failure after a stop signal.'),
});

const limitsSchema = z.strictObject({
  nofile: z.number().int().min(1).optional().describe('Open files; clamped to the hard limit instead of failing.'),
  memory: byteSize
    .optional()
    .describe(
      'Memory of the unit, page cache included; beyond it the kernel kills a process of it. Needs writable cgroups.',
    ),
  cpu: z
    .number()
    .min(0.01)
    .max(4096)
    .optional()
    .describe('CPU time of the unit, in cores: 0.5 is half of one. Needs writable cgroups.'),
  oomScoreAdjust: z.number().int().min(-1000).max(1000).optional().describe('oom_score_adj of the process.'),
  capabilities: z
    .array(z.enum(capabilityNames))
    .optional()
    .describe('The only capabilities that the process, run as root, can ever have, without CAP_. Needs setpriv.'),
});

/** Limit of a start that says nothing. Source: systemd `DefaultTimeoutStartSec=90s`. */
export const defaultStartWithinMs = 90_000;

export const unitSchema = z.strictObject({
  $schema: z.string().optional().describe('Ignored; some editors want it.'),
  about: z.string().max(120).describe('One line for people.'),
  kind: z
    .enum(['service', 'task', 'builtin'])
    .default('service')
    .describe('service: keeps running. task: runs to its end. builtin: a short function of k3s-lite.'),
  run: z.array(z.string()).min(1).describe('Program and arguments; no shell. For a builtin its name and arguments.'),
  flags: z
    .record(z.string(), z.union([z.string(), z.null()]))
    .default({})
    .describe('Appended to run as --name=value; a drop-in replaces one by its name, null removes it.'),
  env: z.record(z.string(), z.string()).default({}).describe('Environment variables, added to a minimal environment.'),
  envFile: z.string().optional().describe('File of NAME=value lines, read at each start.'),
  secrets: z
    .record(z.string(), z.string())
    .default({})
    .describe('Environment variable to file that holds its value; the value is never printed.'),
  cwd: z.string().optional().describe('Working directory (default: the data directory).'),
  user: z.string().optional().describe('User name or id to run as (root only).'),
  group: z.string().optional().describe('Group name or id to run as (default: the user’s).'),
  limits: limitsSchema.optional().describe('Resource limits of the process.'),
  needs: z.array(edge).default([]).describe('Edges to other units; each has one of hard, soft, parallel.'),
  ready: readySchema.optional().describe('What ready means. Omitted: a service is ready when it runs.'),
  startWithin: duration
    .default(defaultStartWithinMs)
    .describe('Time until a start that is not ready has failed (default 90s).'),
  health: healthSchema.optional().describe('Checked while ready.'),
  watchdog: duration
    .optional()
    .describe(
      'The process promises WATCHDOG=1 on $NOTIFY_SOCKET this often ($WATCHDOG_USEC); it is restarted when it stays away.',
    ),
  restart: restartSchema.prefault({}).describe('What happens when it exits or fails.'),
  stop: stopSchema.prefault({}).describe('How it is stopped.'),
  undo: z
    .array(z.string())
    .min(1)
    .optional()
    .describe(
      'Program (or `builtin:NAME`) and arguments that take back what the unit did; run on down, in reverse order; idempotent.',
    ),
  creates: z
    .string()
    .optional()
    .describe('task: what it makes. When this path exists the task is done without being run.'),
  claims: z
    .strictObject({
      ports: z
        .array(z.union([z.number().int().min(1).max(65535), z.string()]))
        .default([])
        .describe('TCP ports it listens on.'),
      paths: z.array(z.string()).default([]).describe('Files or folders that it alone may own.'),
    })
    .optional()
    .describe('What no other unit may claim: conflicts are found before anything starts.'),
  groups: z
    .array(unitName)
    .default([])
    .describe('Names under which several units are disabled at once (`--disable agent`).'),
});

export type UnitInput = z.input<typeof unitSchema>;
type ParsedUnit = z.output<typeof unitSchema>;

/** Place in a file, from 1. */
export interface SourcePlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Column after the last character, when it ends on the same line. */
  readonly endColumn?: number;
  /** The source line, to show it. */
  readonly excerpt?: string;
}

/** A loaded unit: valid, variables expanded, drop-ins merged. */
export interface Unit extends Omit<ParsedUnit, '$schema'> {
  readonly name: string;
  /** Changes when the effective content does; run records carry it (SHA-256, hex, first 16 digits). */
  readonly hash: string;
  /** Where a key was written ("startWithin", "needs.0"); the unit file itself under "". */
  readonly places: ReadonlyMap<string, SourcePlace>;
}
