/** `k3s-lite check [DIR]`: every mistake of the unit files and their graph, without starting anything. */
import { diagnosticStyle } from '../../app/diagnostic-style.ts';
import { exitCode, type ExitCode } from '../../error/codes.ts';
import { redundantEdges } from '../../graph/redundant-edges.ts';
import { diagnosticsOf, renderDiagnostics, type Diagnostic } from '../../unit/diagnostic.ts';
import type { CommandInput, CommandRun } from '../command.ts';
import { installedGraph, type GraphSource } from './graph-source.ts';

export const run: CommandRun = (input) => check(input, installedGraph);

export async function check(input: CommandInput, source: GraphSource): Promise<ExitCode> {
  const { args, io, options } = input;
  const [dir] = args;
  const found = await look(dir === undefined ? input : { ...input, options: { ...options, units: [dir] } }, source);
  const errors = found.diagnostics.filter(({ severity }) => severity === 'error').length;
  if (options['json'] === true) {
    io.out(`${JSON.stringify({ ok: errors === 0, units: found.units, diagnostics: found.diagnostics }, null, 2)}\n`);
  } else {
    if (found.diagnostics.length > 0) {
      io.out(`${renderDiagnostics(found.diagnostics, diagnosticStyle(io.colour))}\n\n`);
    }
    io.out(`${summary(found.units, errors, found.diagnostics.length - errors)}\n`);
  }
  return errors === 0 ? exitCode.ok : exitCode.configuration;
}

interface Found {
  /** Absent when the files could not be loaded. */
  readonly units?: number;
  readonly diagnostics: readonly Diagnostic[];
}

async function look(input: CommandInput, source: GraphSource): Promise<Found> {
  try {
    const { graph, loaded } = await source.load(input, []);
    return { units: graph.order.length, diagnostics: [...loaded.warnings, ...redundantEdges(graph)] };
  } catch (error) {
    const diagnostics = diagnosticsOf(error);
    if (diagnostics === undefined) throw error;
    return { diagnostics };
  }
}

function summary(units: number | undefined, errors: number, remarks: number): string {
  const parts = [
    ...(units === undefined ? [] : [count(units, 'unit')]),
    errors === 0 ? 'no mistakes' : count(errors, 'mistake'),
    ...(remarks === 0 ? [] : [count(remarks, 'remark')]),
  ];
  return parts.join(', ');
}

const count = (many: number, what: string) => `${String(many)} ${what}${many === 1 ? '' : 's'}`;
