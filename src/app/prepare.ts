/**
 * From what the user asked for to a valid graph: settings, variables, unit files, graph, programs.
 * Every mistake of configuration ends here, before anything is touched.
 */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { layoutOf } from '../cluster/layout.ts';
import { hasVips, resolveSettings, type Settings } from '../cluster/settings.ts';
import { type SettingsInput } from '../cluster/settings-schema.ts';
import { variablesOf } from '../cluster/variables.ts';
import { findComponents } from '../component/find.ts';
import { manifest } from '../component/manifest.ts';
import { programFolders, requirePrograms, type ComponentReport } from '../component/report.ts';
import { StartupError } from '../error/startup-error.ts';
import { buildGraph } from '../graph/build-graph.ts';
import type { UnitGraph } from '../graph/unit-graph.ts';
import { unknownUnitError } from '../graph/unknown-unit.ts';
import { parseDurationMs } from '../kernel/duration.ts';
import { diagnosticsError } from '../unit/diagnostic.ts';
import { loadUnits, type LoadedUnits } from '../unit/load-units.ts';
import type { UnitInput } from '../unit/schema.ts';
import type { Configuration } from './configuration.ts';
import { requireJoinable, withRoleUnits } from './cluster-role.ts';
import { isContainerEntry, withContainerUnits } from './container-mode.ts';
import { checkExitWith } from './exit-with.ts';
import type { FlagValues } from './flag-values.ts';
import { argFlags, camelCase, upFlags } from './flags.ts';
import { withMainArguments } from './main-arguments.ts';
import { withNodeMonitorGrace } from './node-monitor-grace.ts';
import { shippedUnits } from './shipped.ts';

export interface Prepared {
  readonly configuration: Configuration;
  readonly settings: Settings;
  readonly loaded: LoadedUnits;
  readonly graph: UnitGraph;
  /** PATH for the units: the components' folders, then ours. */
  readonly searchPath: readonly string[];
  /** The units of this start. */
  readonly wanted: readonly string[];
  /** Versions of the components that keep data; absent when they are not wanted or do not tell. */
  readonly versions: { readonly kubernetes?: string; readonly etcd?: string };
}

export interface PrepareOptions {
  readonly configuration: Configuration;
  /** Units asked for by name. */
  readonly units: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Fail on a component that is missing (default); `check` and `plan` only look at the files. */
  readonly needsPrograms?: boolean;
  readonly durationsMs?: ReadonlyMap<string, number>;
  /** Words after `--`: for the main unit (`--exit-with`). */
  readonly mainArguments?: readonly string[];
  /** Units asked for by name that are gone are no mistake (a reload). */
  readonly mayBeGone?: boolean;
}

/** @throws StartupError ERR_CONFIG, ERR_UNIT_FILE, ERR_GRAPH or ERR_COMPONENT */
export async function prepare(options: PrepareOptions): Promise<Prepared> {
  const { configuration, env, cwd, needsPrograms = true } = options;
  const { paths, values } = configuration;
  const binDir = textOf(values, 'bin-dir');
  const find = () => {
    const folder = binDir === undefined ? undefined : path.resolve(cwd, binDir);
    return findComponents({ env, binDir: folder, dataDir: paths.dataDir });
  };
  const dirs = listOf(values, 'units').map((dir) => path.resolve(cwd, dir));
  // Looking for some twenty programs takes longer than all the rest: a graph of one's own seldom needs it.
  const isOwnGraph = binDir === undefined && dirs.length > 0 && !dirs.includes(shippedUnits());
  let report = isOwnGraph ? undefined : await find();
  let draft = await load({ ...options, dirs, report });
  if (report === undefined && componentsOf(draft.graph, draft.wanted).size > 0) {
    report = await find();
    draft = await load({ ...options, dirs, report });
  }
  const { graph, wanted } = draft;
  checkExitWith(textOf(values, 'exit-with'), graph, wanted);
  const components = componentsOf(graph, wanted);
  if (needsPrograms) {
    requireRoot(graph, wanted);
    requireJoinable(draft.settings);
    if (report !== undefined) requirePrograms(report, components);
  }
  return { configuration, ...draft, versions: versionsOf(report, components) };
}

function versionsOf(report: ComponentReport | undefined, wanted: ReadonlySet<string>): Prepared['versions'] {
  const versionOf = (name: string) => {
    const found = wanted.has(name) ? report?.programs.find(({ program }) => program === name) : undefined;
    return found?.status === 'found' ? found.version : undefined;
  };
  const [kubernetes, etcd] = [versionOf('kube-apiserver'), versionOf('etcd')];
  return { ...(kubernetes === undefined ? {} : { kubernetes }), ...(etcd === undefined ? {} : { etcd }) };
}

interface LoadInput extends PrepareOptions {
  readonly dirs: readonly string[];
  /** Undefined: no component's folder comes before PATH. */
  readonly report: ComponentReport | undefined;
}

async function load(options: LoadInput) {
  const { configuration, units, env, cwd, durationsMs, mayBeGone = false, dirs, report, mainArguments = [] } = options;
  const { paths, values } = configuration;
  const ofComponents = report === undefined ? [] : programFolders(report);
  const searchPath = [...new Set([...ofComponents, ...(env['PATH'] ?? defaultPath).split(':')])];
  const settings = resolveSettings(settingsInput(values, cwd), {
    dataDir: paths.dataDir,
    runDir: paths.runDir,
    searchPath,
    defaultKubeconfig: path.join(paths.dataDir, 'k3s-lite.yaml'),
    disabled: listOf(values, 'disable'),
  });
  const asked = { dirs: dirs.length === 0 ? [shippedUnits()] : dirs, dropInDirs: configuration.dropInDirs };
  const { leftOut, ...folders } = withRoleUnits(withContainerUnits(asked, isContainerEntry(values)), settings);
  const loading = await loadUnits({
    ...folders,
    variables: Object.fromEntries(variablesOf(settings)),
    overrides: new Map([...overridesOf(values), ...(await overridesOfVip(settings))]),
    disable: [...leftOut, ...listOf(values, 'disable'), ...(values['disable-agent'] === true ? ['agent'] : [])],
    otherNames: manifestNames(settings, listOf(values, 'disable')),
    wanted: units,
  });
  if (!loading.ok) throw diagnosticsError('ERR_UNIT_FILE', loading.error);
  const loaded = withMainArguments(withNodeMonitorGrace(loading.value), textOf(values, 'exit-with'), mainArguments);
  const built = buildGraph(loaded, durationsMs === undefined ? {} : { durationsMs });
  if (!built.ok) throw diagnosticsError('ERR_GRAPH', built.error);
  const graph = built.value;
  const unknown = units.find((name) => !graph.has(name));
  if (unknown !== undefined && !mayBeGone) throw unknownUnitError(unknown, graph.order);
  const wanted = units.length === 0 ? graph.order : graph.closure(units);
  return { settings, loaded, graph, searchPath, wanted };
}

/** Of the files in the manifests folder, when there are `names` to be left out: the manifests unit does it. */
function manifestNames(settings: Settings, names: readonly string[]): ReadonlySet<string> {
  const { manifests } = layoutOf(settings);
  if (names.length === 0 || !existsSync(manifests)) return new Set();
  const files = readdirSync(manifests, { recursive: true, encoding: 'utf8' });
  return new Set(files.map((file) => path.basename(file).replace(/\.(?:ya?ml|json)$/, '')));
}

/** Where programs are looked for when PATH is not set. Source: FHS 3.0. */
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Containers need namespaces, mounts and cgroups: without root the first of many errors would be a strange one. */
function requireRoot(graph: UnitGraph, wanted: readonly string[]): void {
  if (process.getuid?.() === 0) return;
  const agent = wanted.filter((name) => graph.unit(name).groups.includes('agent'));
  if (agent.length === 0) {
    if (!wanted.includes('vip')) return;
    throw new StartupError('ERR_CONFIG', 'cannot start vip: the address of --vip-apiserver needs root', {
      units: ['vip'],
    });
  }
  throw new StartupError(
    'ERR_CONFIG',
    `cannot start ${agent.slice(0, 3).join(', ')}${agent.length > 3 ? ', …' : ''}: a node that runs containers needs root; \`--disable-agent\` starts the control plane alone`,
    { units: agent },
  );
}

/** Components are told by name (`run: [etcd, …]`); a unit of one's own is found at its start, or not. */
function componentsOf(graph: UnitGraph, wanted: readonly string[]): ReadonlySet<string> {
  const ours = new Set(manifest.artefacts.flatMap(({ programs }) => programs.map(({ name }) => name)));
  const used = wanted.map((name) => graph.unit(name)).filter(({ kind }) => kind !== 'builtin');
  return new Set(used.map(({ run }) => run[0] ?? '').filter((program) => ours.has(program)));
}

/** The flags that are settings of the cluster. */
export function settingsInput(values: FlagValues, cwd: string): SettingsInput {
  const keys = upFlags.filter(({ isSetting }) => isSetting === true);
  const input: Record<string, unknown> = {};
  for (const { name } of keys) if (values[name] !== undefined) input[camelCase(name)] = values[name];
  for (const key of ['writeKubeconfig', 'tokenFile', 'etcdSnapshotDir']) {
    const file = input[key];
    if (typeof file === 'string') input[key] = path.resolve(cwd, file);
  }
  return input;
}

/** `--etcd-arg key=value` as a drop-in of the unit; `key-` takes ours away. Source: K3s, the same syntax. */
function overridesOf(values: FlagValues): ReadonlyMap<string, Partial<UnitInput>> {
  const overrides = new Map<string, Partial<UnitInput>>();
  for (const [flag, unit] of Object.entries(argFlags)) {
    const flags: Record<string, string | null> = {};
    for (const word of listOf(values, flag)) {
      const [, key = '', value] = /^(?:--)?([A-Za-z0-9][A-Za-z0-9.-]*?)(?:=(.*)|-)?$/s.exec(word) ?? [];
      if (key === '' || (value === undefined && !word.endsWith('-'))) {
        throw new StartupError('ERR_CONFIG', `--${flag} is "${word}", but must be key=value, or key- to remove one`, {
          flag,
        });
      }
      flags[key] = value ?? null;
    }
    if (Object.keys(flags).length > 0) overrides.set(unit, { flags });
  }
  return overrides;
}

/** Loaded by who has virtual IPs only. */
async function overridesOfVip(settings: Settings): Promise<ReadonlyMap<string, Partial<UnitInput>>> {
  if (!hasVips(settings)) return new Map();
  const { vipOverrides } = await import('./vip-overrides.ts');
  return vipOverrides(settings);
}

function listOf(values: FlagValues, name: string): readonly string[] {
  const value = values[name];
  if (value === undefined || typeof value === 'boolean') return [];
  return typeof value === 'string' ? [value] : value;
}

export function textOf(values: FlagValues, name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

/** `--timeout 90s` in milliseconds. @throws StartupError ERR_CONFIG */
export function timeoutOf(values: FlagValues): number | undefined {
  const text = textOf(values, 'timeout');
  if (text === undefined) return undefined;
  const timeoutMs = parseDurationMs(text);
  if (timeoutMs === undefined) {
    throw new StartupError('ERR_CONFIG', `--timeout is "${text}", but must be a duration like 90s or 5m`, {
      value: text,
    });
  }
  return timeoutMs;
}
