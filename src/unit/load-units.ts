/**
 * Unit files to units: read, expand variables, lay drop-ins over, check with the schema, make
 * instances of templates. All mistakes of all files are reported at once.
 *
 * Files are read synchronously: some twenty small ones are read faster than a thread pool is woken,
 * and nothing else can happen before the units are known.
 *
 * Not here: edges between units (graph/build-graph.ts); an edge may name a unit that does not exist.
 */
import { dirname, resolve } from 'node:path';
import { nearestName } from '../kernel/nearest.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import { commandLine, diagnosticAt, sortDiagnostics, type Diagnostic } from './diagnostic.ts';
import { mergeLayers, type Layer, type Merged } from './layers.ts';
import { unitNamePattern } from './scalars.ts';
import { findingsOf } from './schema-findings.ts';
import { unitSchema, type Unit, type UnitInput } from './schema.ts';
import { SourceText } from './source-text.ts';
import { readDropInFolder, readUnitFolder } from './unit-files.ts';
import { unitHash } from './unit-hash.ts';
import { unitPlaces } from './unit-places.ts';
import { expandVariables, type Path, type VariableTable } from './variables.ts';

export interface LoadOptions {
  /** Folders of unit files. A unit of a later folder replaces the one of the same name. */
  readonly dirs: readonly string[];
  /**
   * Folders with `<unit>/*.yaml`, laid over the unit in this order and by file name inside each;
   * those of a template (`name@`) come before those of its instance. Missing folders hold none.
   */
  readonly dropInDirs?: readonly string[];
  readonly variables: VariableTable;
  /** Drop-ins that no file holds (`--etcd-arg`), by unit name; laid over everything else. */
  readonly overrides?: ReadonlyMap<string, Partial<UnitInput>>;
  /** Names of units or of groups that are left out. */
  readonly disable?: readonly string[];
  /** Names that `disable` may hold although they are neither: somebody else leaves them out. */
  readonly otherNames?: ReadonlySet<string>;
  /** Units asked for by name: an instance (`name@one`) exists because it is named here or by an edge. */
  readonly wanted?: readonly string[];
}

export interface LoadedUnits {
  /** By name. */
  readonly units: readonly Unit[];
  /** Units left out, and the name in `disable` that did it. */
  readonly disabled: ReadonlyMap<string, string>;
  readonly warnings: readonly Diagnostic[];
}

/** A chain of templates that name each other must end somewhere. */
const maxInstances = 1000;

/** Never rejects for what a file holds: every mistake is a diagnostic, sorted by place. */
export async function loadUnits(options: LoadOptions): Promise<Result<LoadedUnits, Diagnostic[]>> {
  const diagnostics: Diagnostic[] = [];
  const loader = new Loader(options, (diagnostic) => diagnostics.push(diagnostic));
  const units = await loader.load();
  const disabled = disable(units, options, (diagnostic) => diagnostics.push(diagnostic));
  const sorted = sortDiagnostics(diagnostics);
  if (sorted.some(({ severity }) => severity === 'error')) return err(sorted);
  const kept = [...units.values()].filter(({ name }) => !disabled.has(name));
  return ok({ units: kept.sort((a, b) => (a.name < b.name ? -1 : 1)), disabled, warnings: sorted });
}

class Loader {
  readonly #options: LoadOptions;
  readonly #report: (diagnostic: Diagnostic) => void;
  readonly #sources = new Map<string, SourceText>();
  readonly #dropIns: ReadonlyMap<string, readonly SourceText[]>[] = [];
  readonly #raw = new Map<SourceText, Readonly<Record<string, unknown>> | undefined>();
  readonly #units = new Map<string, Unit>();
  /** Values with an unknown variable: whatever else is wrong with them follows from that. */
  readonly #unexpanded = new Set<string>();

  constructor(options: LoadOptions, report: (diagnostic: Diagnostic) => void) {
    this.#options = options;
    this.#report = report;
  }

  async load(): Promise<ReadonlyMap<string, Unit>> {
    const { dirs, dropInDirs = [], wanted = [] } = this.#options;
    for (const dir of dirs) {
      for (const [name, source] of readUnitFolder(dir, this.#report)) this.#sources.set(name, source);
    }
    for (const dir of dropInDirs) this.#dropIns.push(readDropInFolder(dir, this.#report));
    for (const source of this.#sources.values()) this.#raw.set(source, await source.parse(this.#report));
    for (const folder of this.#dropIns) {
      for (const source of [...folder.values()].flat()) this.#raw.set(source, await source.parse(this.#report));
    }

    const queue = [...this.#sources.keys()].filter((name) => !name.endsWith('@'));
    queue.push(...wanted.filter((name) => this.#isInstance(name)));
    const seen = new Set<string>();
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      if (seen.has(name)) continue;
      seen.add(name);
      const unit = this.#loadUnit(name);
      if (unit === undefined) continue;
      this.#units.set(name, unit);
      queue.push(...unit.needs.map((need) => need.unit).filter((target) => this.#isInstance(target)));
      if (seen.size > maxInstances + this.#sources.size) {
        const message = `templates make more than ${String(maxInstances)} instances of each other`;
        this.#report(diagnosticAt(unit.places.get('needs') ?? commandLine, { code: 'template', message }));
        break;
      }
    }
    this.#checkUnusedTemplates(seen);
    this.#warnOfStrayDropIns(seen);
    return this.#units;
  }

  #isInstance(name: string): boolean {
    return name.includes('@') && unitNamePattern.test(name) && this.#sources.has(templateOf(name));
  }

  #loadUnit(name: string): Unit | undefined {
    const merged = this.#merge(name);
    if (merged === undefined) return undefined;
    const parsed = unitSchema.safeParse(merged.value);
    if (!parsed.success) {
      for (const { path, target, meant: _, ...text } of findingsOf(parsed.error, merged.value)) {
        const origin = merged.locate(path);
        if (this.#unexpanded.has(placeKey(origin.source, origin.path))) continue;
        this.#report(diagnosticAt(origin.source.find(origin.path, origin.exact ? target : 'key'), text));
      }
      return undefined;
    }
    const { $schema: _, ...content } = parsed.data;
    const flags = Object.fromEntries(Object.entries(content.flags).filter(([, value]) => value !== null));
    const unit = { ...content, flags };
    const places = unitPlaces(merged.base, merged.merged);
    return { ...unit, name, hash: unitHash(name, unit), places };
  }

  /** The file of a unit or of its template with everything that lies over it; undefined when one of them is broken. */
  #merge(name: string): (Merged & { readonly base: SourceText; readonly merged: Merged }) | undefined {
    const own = this.#sources.get(name);
    const template = name.includes('@') ? templateOf(name) : undefined;
    const source = own ?? (template === undefined ? undefined : this.#sources.get(template));
    if (source === undefined) return undefined;
    const names = template === undefined ? [name] : [template, name];
    const above = names.flatMap((key) => this.#dropIns.flatMap((folder) => folder.get(key) ?? []));
    for (const key of names) {
      const override = this.#options.overrides?.get(key);
      if (override !== undefined) above.push(this.#overrideSource(key, override));
    }
    const variables = {
      ...this.#options.variables,
      unitDir: { value: resolve(dirname(source.file)), about: 'the folder of the unit file' },
      ...(template === undefined ? {} : { instance: { value: name.slice(template.length), about: 'the instance' } }),
    };
    const layers = [source, ...above].map((layer) => this.#layer(layer, variables));
    const [base, ...rest] = layers;
    if (base === undefined || rest.includes(undefined)) return undefined;
    const merged = mergeLayers(base, rest as Layer[], ({ source: where, path, ...text }) => {
      this.#report(diagnosticAt(where.find(path, 'value'), { code: 'drop-in', ...text }));
    });
    return { ...merged, base: source, merged };
  }

  readonly #overrideSources = new Map<string, SourceText>();

  #overrideSource(name: string, override: Partial<UnitInput>): SourceText {
    let source = this.#overrideSources.get(name);
    if (source === undefined) {
      // The text is only made to show a mistake in it.
      source = new SourceText(`(options for ${name})`, () => overrideText(override));
      this.#overrideSources.set(name, source);
      this.#raw.set(source, override);
    }
    return source;
  }

  #layer(source: SourceText, variables: VariableTable): Layer | undefined {
    const raw = this.#raw.get(source);
    if (raw === undefined) return undefined;
    const value = expandVariables(raw, variables, ({ path, token, ...text }) => {
      this.#unexpanded.add(placeKey(source, path));
      this.#report(diagnosticAt(source.findToken(path, token), { code: 'variable', ...text }));
    });
    return { source, value: value as Record<string, unknown> };
  }

  /** A template that nobody uses is checked with a made-up instance, so that its mistakes are not found years later. */
  #checkUnusedTemplates(seen: ReadonlySet<string>): void {
    for (const template of [...this.#sources.keys()].filter((name) => name.endsWith('@'))) {
      const used = [...seen].some((name) => name.startsWith(template) && !this.#sources.has(name));
      if (!used) this.#loadUnit(`${template}instance`);
    }
  }

  #warnOfStrayDropIns(seen: ReadonlySet<string>): void {
    const known = new Set([...this.#sources.keys(), ...seen]);
    const isKnown = (name: string) => known.has(name) || (name.includes('@') && known.has(templateOf(name)));
    const warn = (place: { file: string; line: number; column: number }, name: string) => {
      const near = nearestName(name, known);
      this.#report(
        diagnosticAt(place, {
          severity: 'warning',
          code: 'drop-in',
          message: `there is no unit "${name}" to change`,
          hint: near === undefined ? undefined : `did you mean "${near}"?`,
        }),
      );
    };
    for (const folder of this.#dropIns) {
      for (const [name, [first]] of folder) if (!isKnown(name) && first !== undefined) warn(first.whole, name);
    }
    for (const name of this.#options.overrides?.keys() ?? []) if (!isKnown(name)) warn(commandLine, name);
  }
}

/** An override written down, one key a line. JSON values are YAML values. */
function overrideText(override: Partial<UnitInput>): string {
  return Object.entries(override)
    .map(([key, value]) => `${key}: ${JSON.stringify(value).replaceAll(/(?<="):|,(?=")/g, '$& ')}\n`)
    .join('');
}

const placeKey = (source: SourceText, path: Path) => JSON.stringify([source.file, path]);

/** "web@" of "web@one" */
const templateOf = (name: string) => name.slice(0, name.indexOf('@') + 1);

function disable(
  units: ReadonlyMap<string, Unit>,
  { disable: names = [], otherNames = new Set() }: Pick<LoadOptions, 'disable' | 'otherNames'>,
  report: (diagnostic: Diagnostic) => void,
): Map<string, string> {
  const disabled = new Map<string, string>();
  for (const name of names) {
    const hit = [...units.values()].filter(
      (unit) => unit.name === name || unit.groups.includes(name) || (name.endsWith('@') && unit.name.startsWith(name)),
    );
    for (const unit of hit) disabled.set(unit.name, name);
    if (hit.length > 0 || otherNames.has(name)) continue;
    const known = [...units.values()].flatMap((unit) => [unit.name, ...unit.groups]);
    const near = nearestName(name, known);
    const hint = near === undefined ? undefined : `did you mean "${near}"?`;
    report(diagnosticAt(commandLine, { code: 'option', message: `cannot disable "${name}": no unit or group`, hint }));
  }
  return disabled;
}
