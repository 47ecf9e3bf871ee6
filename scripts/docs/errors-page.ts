/** docs/errors.md: every error code with its meaning, remedy and exit code. */
import { errorCodes, exitCode } from '../../src/error/codes.ts';

export function errorsPage(): string {
  const codes = Object.entries(errorCodes).map(
    ([code, entry]) =>
      `## ${code}\n\n${entry.meaning}\n\n**What to do:** ${entry.remedy}\n\nExit code: ${String(entry.exitCode)}\n`,
  );
  return [
    '<!-- Made by `npm run docs` from src/error/codes.ts. -->',
    '# Errors',
    '',
    'Codes are part of the interface and keep their meaning; messages may change. `--json` prints an error with its code, its details and the chain of its causes.',
    '',
    '## Exit codes',
    '',
    '| code | name |',
    '|---|---|',
    ...Object.entries(exitCode).map(([name, code]) => `| ${String(code)} | ${name} |`),
    '',
    codes.join('\n'),
  ].join('\n');
}
