/** Colours of diagnostics. */
import { createColors } from 'picocolors';
import type { DiagnosticStyle } from '../unit/diagnostic.ts';

export function diagnosticStyle(colour: boolean): DiagnosticStyle {
  const { red, yellow, bold, dim } = createColors(colour);
  return { error: (text) => red(bold(text)), warning: (text) => yellow(text), strong: bold, faint: dim };
}
