/**
 * The command line: `k3s-lite COMMAND …`. Answers `--version` before anything heavy is loaded;
 * everything else goes through the command table.
 */
import { version } from '../app/version.ts';

const [first] = process.argv.slice(2);
if (first === '--version' || first === '-V' || first === 'version') {
  process.stdout.write(`k3s-lite ${version}\n`);
} else {
  const { runCommandLine } = await import('./command-line.ts');
  process.exitCode = await runCommandLine(process.argv.slice(2));
}
