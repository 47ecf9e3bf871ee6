/** docs/errors.md from the table of codes; a test compares the file with what this returns. */
import { errorCodes, exitCode } from './codes.ts';

const exitMeanings: Record<keyof typeof exitCode, string> = {
  ok: 'everything went as asked',
  bug: 'a bug in k3s-lite, or something of ours could not be ended',
  usage: 'the command line is not understood',
  configuration: 'a flag, file, unit, certificate or component has to be mended first',
  notReady: 'not ready (in time), or no k3s-lite to talk to',
  lostAfterReady: 'was ready and lost it',
  interrupted: 'SIGINT before it was ready',
  terminated: 'SIGTERM before it was ready',
};

export function errorReference(): string {
  const codes = Object.entries(errorCodes).map(
    ([code, { meaning, remedy, exitCode: exit }]) =>
      `## ${code}\n\n${meaning}\n\n- What to do: ${remedy}\n- Exit code: ${String(exit)}\n`,
  );
  const exits = Object.entries(exitCode).map(
    ([name, code]) => `| ${String(code)} | ${exitMeanings[name as keyof typeof exitCode]} |`,
  );
  return [
    '<!-- Generated from src/error/codes.ts by `errorReference`; do not edit. -->',
    '# Errors',
    '',
    'Every error of k3s-lite has a stable `code`; messages may change, codes do not. For people it is printed as one line,',
    'the chain of causes down to the root, the last output of the process at the root, and one hint:',
    '',
    '```',
    'cannot start kube-apiserver: blocked by etcd',
    '  ← etcd exited with code 1: bind: address already in use (2379 is held by pid 812 etcd)',
    '  last output of etcd: listen tcp 127.0.0.1:2379: bind: address already in use',
    '  hint: stop pid 812, or choose another port with --etcd-client-port',
    '```',
    '',
    'As JSON (`--json`, the control socket, the log file) it is an object with `type`, `code`, `message`, `cause` and, for a unit',
    'that is not ready, `component`, `generation`, `check`, `phase` (spawn, startup, ready, health, stop), `reason`, `attempts`',
    '(the first 5 and the last 20, each with `at`, `ms`, `outcome`), `attemptCount`, `elapsedMs`, `exit`, `lastLogLines`, `hint`.',
    '',
    '## Exit codes',
    '',
    '| Code | Meaning |',
    '|---|---|',
    ...exits,
    '',
    ...codes,
  ].join('\n');
}
