/**
 * The `kernel-settings` builtin and its undo. Values that differ are changed and what they were is
 * kept on disk, so that `down` gives the machine back as it was found, even after a crash between.
 *
 * kubelet would set some of these by itself; done here, they are known and can be taken back.
 */
import { mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { Builtin } from '../unit/builtin.ts';
import { layoutOf } from './layout.ts';
import { ensureCgroupRoot } from './node-cleanup.ts';
import type { Settings } from './settings.ts';
import { readIfThere, writeAtomically } from '../kernel/stored-file.ts';

interface KernelSetting {
  readonly name: string;
  readonly value: string;
  /** A larger value is as good. */
  readonly atLeast?: boolean;
  /** What does not work without it. */
  readonly why: string;
  /** Without it no node: failing to set it fails the unit. */
  readonly required: boolean;
}

/** Source: Kubernetes "Container runtimes: forwarding IPv4"; kubelet `setupKernelTunables` for vm, kernel. */
export const kernelSettings: readonly KernelSetting[] = [
  { name: 'net/ipv4/ip_forward', value: '1', required: true, why: 'pods reach nothing outside their node' },
  {
    name: 'net/bridge/bridge-nf-call-iptables',
    value: '1',
    required: false,
    why: 'a pod does not reach a service whose pod is on the same node (module br_netfilter)',
  },
  { name: 'vm/overcommit_memory', value: '1', required: false, why: 'kubelet wants it' },
  { name: 'vm/panic_on_oom', value: '0', required: false, why: 'kubelet wants it' },
  { name: 'kernel/panic', value: '10', required: false, why: 'kubelet wants it' },
  { name: 'kernel/panic_on_oops', value: '1', required: false, why: 'kubelet wants it' },
  { name: 'kernel/keys/root_maxkeys', value: '1000000', required: false, atLeast: true, why: 'kubelet wants it' },
  { name: 'kernel/keys/root_maxbytes', value: '25000000', required: false, atLeast: true, why: 'kubelet wants it' },
];

const previousSchema = z.record(z.string(), z.string());

export interface KernelFiles {
  /** "/proc/sys" */
  readonly root: string;
  /** Where the values found are kept. */
  readonly previousFile: string;
  readonly log: (line: string) => void;
}

/** @throws Error that names every required setting that could not be made, and why it matters */
export async function applyKernelSettings({ root, previousFile, log }: KernelFiles): Promise<void> {
  const previous = await readPrevious(previousFile);
  const wanted: { readonly setting: KernelSetting; readonly file: string }[] = [];
  const failures: string[] = [];
  for (const setting of kernelSettings) {
    const file = path.join(root, setting.name);
    try {
      const found = (await readFile(file, 'utf8')).trim();
      const isGood = setting.atLeast === true ? Number(found) >= Number(setting.value) : found === setting.value;
      if (isGood) continue;
      // A value kept by an earlier start that was not undone is the machine's own; the one found now is ours.
      previous[setting.name] ??= found;
      wanted.push({ setting, file });
    } catch (error) {
      explain(setting, error);
    }
  }
  if (wanted.length > 0) {
    await mkdir(path.dirname(previousFile), { recursive: true });
    await writeAtomically(previousFile, JSON.stringify(previous), 0o644);
  }
  for (const { setting, file } of wanted) {
    try {
      await writeFile(file, setting.value);
      log(`${setting.name} = ${setting.value} (was ${previous[setting.name] ?? ''})`);
    } catch (error) {
      explain(setting, error);
    }
  }
  if (failures.length > 0) throw new Error(failures.join('; '));

  function explain({ name, value, why, required }: KernelSetting, error: unknown): void {
    const { code } = error as NodeJS.ErrnoException;
    const cause = code === 'ENOENT' ? 'this kernel does not have it' : (code ?? String(error));
    const line = `cannot set ${name} to ${value} (${cause}): without it ${required ? '' : 'maybe '}${why}`;
    if (required) failures.push(line);
    else log(line);
  }
}

/** Gives back the values found before; idempotent. */
export async function restoreKernelSettings({ root, previousFile, log }: KernelFiles): Promise<void> {
  const previous = await readPrevious(previousFile);
  for (const [name, value] of Object.entries(previous)) {
    await writeFile(path.join(root, name), value);
    log(`${name} = ${value} again`);
  }
  await unlink(previousFile).catch(() => undefined); // not there: nothing was changed
}

async function readPrevious(file: string): Promise<Record<string, string>> {
  return previousSchema.parse(JSON.parse((await readIfThere(file)) ?? '{}'));
}

export function kernelSettingsBuiltins(
  settings: Settings,
): Record<'kernel-settings' | 'restore-kernel-settings', Builtin> {
  const files = { root: '/proc/sys', previousFile: path.join(layoutOf(settings).undoState, 'kernel.json') };
  return {
    'kernel-settings': async ({ log }) => {
      await ensureCgroupRoot(settings);
      await applyKernelSettings({ ...files, log });
    },
    'restore-kernel-settings': ({ log }) => restoreKernelSettings({ ...files, log }),
  };
}
