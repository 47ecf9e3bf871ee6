/** Colours of diagnostics. */
import picocolors from 'picocolors';
import type { DiagnosticStyle } from '../unit/diagnostic.ts';

export function diagnosticStyle(colour: boolean): DiagnosticStyle {
  const { red, yellow, bold, dim } = picocolors.createColors(colour);
  return { error: (text) => red(bold(text)), warning: (text) => yellow(text), strong: bold, faint: dim };
}
