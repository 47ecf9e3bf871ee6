/** An error at the end of a command: rendered for people, and its exit code. */
import { exitCode, type ExitCode } from '../error/codes.ts';
import { renderError } from '../error/render.ts';
import { StartupError } from '../error/startup-error.ts';
import { diagnosticStyle } from './diagnostic-style.ts';
import { diagnosticsOf, renderDiagnostics } from '../unit/diagnostic.ts';

export interface FailureOutput {
  err(text: string): void;
  readonly columns: number;
  readonly colour: boolean;
}

export function renderFailure(error: unknown, io: FailureOutput): ExitCode {
  const diagnostics = diagnosticsOf(error);
  if (diagnostics !== undefined) io.err(`${renderDiagnostics(diagnostics, diagnosticStyle(io.colour))}\n`);
  else io.err(`k3s-lite: ${renderError(error, { width: io.columns, colour: io.colour })}\n`);
  if (error instanceof StartupError) return error.exitCode;
  // Not one of ours: a bug, and its stack is what a report needs.
  io.err(`internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return exitCode.bug;
}
