/** A temporary folder of files for the loader, gone at the end of its scope. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { renderDiagnostics, type Diagnostic } from '../../src/unit/diagnostic.ts';
import { loadUnits, type LoadedUnits, type LoadOptions } from '../../src/unit/load-units.ts';
import type { VariableTable } from '../../src/unit/variables.ts';

export const variables: VariableTable = {
  dataDir: { value: '/data', about: 'Data directory' },
  nodeName: { value: 'one', about: 'Name of this node' },
  apiPort: { value: '6443', about: 'Port of the API' },
};

export interface UnitFolder extends Disposable {
  readonly dir: string;
  /** Writes a file below the folder; makes its folder. */
  write(name: string, content: string | Buffer): void;
  load(options?: Partial<LoadOptions>): ReturnType<typeof loadUnits>;
  /** The units; throws the rendered diagnostics when there are errors. */
  units(options?: Partial<LoadOptions>): Promise<LoadedUnits>;
  /** The diagnostics, rendered with paths relative to the folder; throws when there are none. */
  mistakes(options?: Partial<LoadOptions>): Promise<string>;
}

/** @param files - name to content; `etcd.yaml` lies in `units/`, a name with a folder where it says */
export function unitFolder(files: Readonly<Record<string, string | Buffer>>): UnitFolder {
  const dir = mkdtempSync(path.join(tmpdir(), 'k3s-lite-units-'));
  const inFolder = (name: string) => path.join(dir, name.includes('/') ? name : path.join('units', name));
  mkdirSync(path.join(dir, 'units'));
  const folder: UnitFolder = {
    dir,
    write(name, content) {
      mkdirSync(path.dirname(inFolder(name)), { recursive: true });
      writeFileSync(inFolder(name), content);
    },
    load: (options = {}) => loadUnits({ dirs: [path.join(dir, 'units')], variables, ...options }),
    async units(options) {
      const result = await folder.load(options);
      if (!result.ok) throw new Error(renderDiagnostics(result.error));
      return result.value;
    },
    async mistakes(options) {
      const result = await folder.load(options);
      const diagnostics: readonly Diagnostic[] = result.ok ? result.value.warnings : result.error;
      if (diagnostics.length === 0) throw new Error('there are no mistakes');
      return renderDiagnostics(diagnostics).replaceAll(`${dir}/units/`, '').replaceAll(`${dir}/`, '');
    },
    [Symbol.dispose]: () => {
      rmSync(dir, { recursive: true, force: true });
    },
  };
  for (const [name, content] of Object.entries(files)) folder.write(name, content);
  return folder;
}

/** The least that a unit has, and more. */
export const unit = (more = '') => `about: A unit\nrun: [sleep, inf]\n${more}`;
