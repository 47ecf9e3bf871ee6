/**
 * The command line: `k3s-lite COMMAND …`. Answers `--version` before anything heavy is loaded;
 * everything else goes through the command table.
 */
import { setFlagsFromString } from 'node:v8';
import { version } from '../app/version.ts';

const [first] = process.argv.slice(2);
if (first === '--version' || first === '-V' || first === 'version') {
  process.stdout.write(`k3s-lite ${version}\n`);
} else {
  // A supervisor's garbage is little and its life long: with a young generation that does not grow
  // (from 1 to 16 MB) an `up` holds 10–25 MB less, and every fork has that much less to copy.
  setFlagsFromString('--semi-space-growth-factor=1');
  const { runCommandLine } = await import('./command-line.ts');
  process.exitCode = await runCommandLine(process.argv.slice(2));
}
