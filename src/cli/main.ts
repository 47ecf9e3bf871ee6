/**
 * The command line: `k3s-lite COMMAND …`. bin/k3s-lite.js answers `--version` before this is loaded.
 */
import { runCommandLine } from './command-line.ts';

// No top-level await: this is bundled as a script.
void runCommandLine(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
