/**
 * Reads the last output of a program that failed: which line says why, and what mends it.
 *
 * Pure: whatever has to be looked up (who holds a port) comes in through the context. Knows the
 * wording of Go, libc and Node.js errors, which is what the usual components print.
 */
import { oneLine } from './outcome.ts';

export interface PortHolder {
  readonly pid: number;
  /** Name of the program, as in /proc/PID/comm. */
  readonly command: string;
}

export interface FailureContext {
  /** Who listens on a local TCP port, if that can be found out. */
  readonly holderOf?: (port: number) => PortHolder | undefined;
}

interface Pattern {
  readonly match: RegExp;
  /** The remedy, from the groups of the match; undefined when they say too little. */
  readonly hint: (groups: readonly (string | undefined)[], context: FailureContext) => string | undefined;
}

const addressInUse =
  /:(\d{1,5})"?(?:: bind)?: address already in use|EADDRINUSE.*?:(\d{1,5})\b|address already in use/i;

/** In order of how much they say: the first that matches any line wins. */
const patterns: readonly Pattern[] = [
  {
    match: addressInUse,
    hint: ([, go, node], context) => {
      const port = go ?? node;
      if (port === undefined) return 'another process holds the address: stop it, or choose another port';
      const holder = context.holderOf?.(Number(port));
      const who = holder === undefined ? 'another process' : `pid ${String(holder.pid)} ${holder.command}`;
      return `port ${port} is held by ${who}: stop it, or choose another port`;
    },
  },
  {
    match:
      /(?:unknown|unrecognized) (?:flag|option|shorthand flag)\S*:? ['"]?(-[^\s'"]+)|flag provided but not defined: (\S+)/i,
    hint: ([, flag, other]) =>
      `the program does not know ${flag ?? other ?? 'that flag'}: check \`run\` and \`flags\` of the unit, and the program's version`,
  },
  {
    match: /certificate has expired|CERT_HAS_EXPIRED/i,
    hint: () =>
      'a certificate has expired: remove it and its key, it is made again at the next start; check the clock too',
  },
  {
    match: /certificate is not yet valid|CERT_NOT_YET_VALID/i,
    hint: () => 'a certificate is not valid yet: check the clock of this machine',
  },
  {
    match:
      /signed by unknown authority|UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT|unable to get (?:local )?issuer/i,
    hint: () =>
      'a certificate comes from another CA than the one expected: check that all were made from the same CA file',
  },
  {
    match: /certificate is valid for .*, not (\S+)|ERR_TLS_CERT_ALTNAME_INVALID/i,
    hint: ([, name]) => `the server's certificate lacks the name ${name ?? 'that was asked for'}: add it (--tls-san)`,
  },
  {
    match: /private key does not match public key|key values mismatch/i,
    hint: () => 'a certificate and its key do not belong together: remove both, they are made again at the next start',
  },
  {
    match: /no space left on device|ENOSPC/i,
    hint: () => 'the file system is full, or out of inodes (or inotify watches): see `df -h` and `df -i`',
  },
  { match: /read-only file system|EROFS/i, hint: () => 'the file system is mounted read-only' },
  {
    match: /too many open files|EMFILE/i,
    hint: () => 'the limit of open files is reached: raise `limits.nofile` of the unit',
  },
  {
    match: /cannot allocate memory|out of memory|ENOMEM/i,
    hint: () => 'memory has run out: see `free -m` and the memory limit of the cgroup',
  },
  {
    match: /exec format error/i,
    hint: () => 'the program was built for another architecture',
  },
  {
    match:
      /(?:open|mkdir|stat|unlink|rename|chmod|chown|access|create|read|write)\w* ["']?(\/[^\s"':,]+)["']?: permission denied|(?:EACCES|EPERM).*?'(\/[^']+)'|permission denied|operation not permitted/i,
    hint: ([, go, node]) => {
      const path = go ?? node;
      return path === undefined
        ? 'something is not permitted: check owner and mode of its files, and whether it needs root'
        : `no permission for ${path}: check its owner and mode, and whether the unit needs root`;
    },
  },
  {
    match: /["']?(\/[^\s"':,]+)["']?: no such file or directory|ENOENT.*?'(\/[^']+)'/i,
    hint: ([, go, node]) => `${go ?? node ?? 'a file'} does not exist: check the path and the unit that should make it`,
  },
];

/** What to do about a failure, or undefined when none of the last lines is understood. */
export function explainFailure(lines: readonly string[], context: FailureContext = {}): string | undefined {
  for (const { match, hint } of patterns) {
    for (let index = lines.length - 1; index >= 0; index -= 1) {
      const groups = match.exec(bounded(lines[index]));
      if (groups !== null) return hint(groups, context);
    }
  }
  return undefined;
}

/**
 * The line of `lines` that says best why the program failed, as one short line for people: a known
 * pattern, else the last line of a high level, else the last line. Undefined when there is none.
 */
export function tellingLine(lines: readonly string[], context: FailureContext = {}): string | undefined {
  const newestFirst = lines.filter((line) => line.trim() !== '').reverse();
  for (const { match } of patterns) {
    const found = newestFirst.find((line) => match.test(bounded(line)));
    if (found === undefined) continue;
    const text = messageOf(found);
    return match === addressInUse ? `${text}${holderNote(found, context)}` : text;
  }
  const loud = newestFirst.find((line) => /^[EF]\d{4} |\b(?:fatal|panic|error|critical|failed)\b/i.test(bounded(line)));
  const best = loud ?? newestFirst[0];
  return best === undefined ? undefined : messageOf(best);
}

/**
 * The last `count` lines, for an error; when the line that says why lies before them, because a
 * usage text follows it, that line leads.
 *
 * @param lines - more than `count`, oldest first
 */
export function tellingExcerpt(lines: readonly string[], count: number): readonly string[] {
  const kept = lines.slice(-count);
  const isTelling = (line: string) => patterns.some(({ match }) => match.test(bounded(line)));
  if (kept.length === lines.length || kept.some(isTelling)) return kept;
  const telling = lines.findLast(isTelling);
  return telling === undefined ? kept : [telling, ...kept.slice(1)];
}

function holderNote(line: string, context: FailureContext): string {
  const [, go, node] = addressInUse.exec(bounded(line)) ?? [];
  const port = Number(go ?? node);
  const holder = Number.isNaN(port) ? undefined : context.holderOf?.(port);
  return holder === undefined ? '' : ` (${String(port)} is held by pid ${String(holder.pid)} ${holder.command})`;
}

/** Log lines come from anywhere: the patterns only ever see this much of one. */
function bounded(line: string | undefined): string {
  return (line ?? '').slice(0, 2_000);
}

/** The message without the log's decoration: JSON of zap and pino, klog, logfmt. */
function messageOf(line: string): string {
  const text = bounded(line).trim();
  return oneLine(fromJson(text) ?? fromKlog(text) ?? fromLogfmt(text) ?? text);
}

/** `E1121 05:47:01.123456    4242 run.go:72] "command failed" err="…"`: the error alone, else the message. */
function fromKlog(text: string): string | undefined {
  const [, message] = /^[IWEF]\d{4} \S+\s+\d+ \S+\] (.*)$/s.exec(text) ?? [];
  if (message === undefined) return undefined;
  const [, said = message, error] = /^"((?:[^"\\]|\\.)*)"(?:.*? err="((?:[^"\\]|\\.)*)")?/s.exec(message) ?? [];
  return (error ?? said).replaceAll(/\\(["\\])/g, '$1').replaceAll('\\n', ' ');
}

function fromJson(text: string): string | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const entry = JSON.parse(text) as Record<string, unknown>;
    const parts = [entry['msg'] ?? entry['message'], entry['error'] ?? entry['err']].filter(
      (part): part is string => typeof part === 'string' && part !== '',
    );
    return parts.length === 0 ? undefined : parts.join(': ');
  } catch {
    return undefined; // Not JSON after all (or cut): the line speaks for itself.
  }
}

function fromLogfmt(text: string): string | undefined {
  const value = (key: string) => {
    const quoted = new RegExp(`(?:^| )${key}="((?:[^"\\\\]|\\\\.)*)"`).exec(text)?.[1];
    return quoted?.replaceAll('\\"', '"') ?? new RegExp(`(?:^| )${key}=([^\\s"]+)`).exec(text)?.[1];
  };
  if (!/(?:^| )level=/.test(text)) return undefined;
  const parts = [value('msg'), value('error') ?? value('err')].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : parts.join(': ');
}
