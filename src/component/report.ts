/** The answer of `findComponents`, and what callers ask of it. */
import { StartupError } from '../error/startup-error.ts';
import type { Role } from './manifest.ts';
import type { Support } from './support.ts';

export type Origin = 'bin-dir' | 'data-dir' | 'cache' | 'path';

export interface FoundProgram {
  readonly status: 'found';
  readonly program: string;
  readonly role: Role;
  /** What `components build` calls it; absent for a program of the distribution. */
  readonly artefact?: string;
  readonly path: string;
  /** Absent when the program does not tell. */
  readonly version?: string;
  readonly origin: Origin;
  readonly support: Support;
  /** Files that came first but are of an unsupported version, each with the reason. */
  readonly passedOver: readonly string[];
}

export interface MissingProgram {
  readonly status: 'missing';
  readonly program: string;
  readonly role: Role;
  readonly artefact?: string;
  readonly lookedIn: readonly string[];
  /** The command that builds or installs it. */
  readonly remedy: string;
}

export type ProgramStatus = FoundProgram | MissingProgram;

export interface ComponentReport {
  /** Version of the kube-apiserver that the others were measured against. */
  readonly kubernetesVersion: string;
  readonly programs: readonly ProgramStatus[];
}

/** True if the program is there in a version that works. */
export function isUsable(program: ProgramStatus): program is FoundProgram {
  return program.status === 'found' && program.support.supported;
}

/**
 * The named programs by name, all of them usable.
 *
 * @throws StartupError ERR_COMPONENT that names every one that is missing or unsupported, and what to do
 */
export function requirePrograms(report: ComponentReport, names: Iterable<string>): ReadonlyMap<string, FoundProgram> {
  const byName = new Map(report.programs.map((each) => [each.program, each]));
  const usable = new Map<string, FoundProgram>();
  const problems: ProgramStatus[] = [];
  for (const name of names) {
    const program = byName.get(name);
    if (program === undefined) throw new Error(`internal error: ${name} is no component`);
    if (isUsable(program)) usable.set(name, program);
    else problems.push(program);
  }
  if (problems.length > 0) throw unusable(problems);
  return usable;
}

/** Folders to put before PATH so that a unit's `run: [etcd]` and containerd's shim are found, best first. */
export function programFolders(report: ComponentReport): readonly string[] {
  const folders = report.programs
    .filter(isUsable)
    .filter(({ origin }) => origin !== 'path')
    .map(({ path }) => path.slice(0, path.lastIndexOf('/')));
  return [...new Set(folders)];
}

function unusable(problems: readonly ProgramStatus[]): StartupError {
  const builds = new Set<string>();
  const remedies: string[] = [];
  for (const each of problems) {
    if (each.artefact !== undefined) builds.add(each.artefact);
    else remedies.push(each.status === 'missing' ? each.remedy : `install a newer ${each.program}`);
  }
  if (builds.size > 0) remedies.unshift(`k3s-lite components build ${[...builds].join(' ')}`);
  return new StartupError('ERR_COMPONENT', `cannot start the cluster: ${problems.map(describeProblem).join('; ')}`, {
    component: problems.map(({ program }) => program).join(', '),
    programs: problems,
    hint: remedies.join('; '),
  });
}

function describeProblem(program: ProgramStatus): string {
  if (program.status === 'missing') return `${program.program} is missing`;
  const reason = program.support.supported ? '' : program.support.reason;
  return `${program.path} is ${program.program} ${program.version ?? 'of unknown version'}, but ${reason}`;
}
