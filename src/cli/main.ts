/**
 * The command line: `k3s-lite COMMAND …`. bin/k3s-lite.js answers `--version` before this is loaded.
 */
import * as z from 'zod';
import { runCommandLine } from './command-line.ts';

// Compiling a schema pays off after hundreds of values; a command reads a few of each.
z.config({ jitless: true });

// No top-level await: this is bundled as a script.
void runCommandLine(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
