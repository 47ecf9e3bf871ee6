import type { ChildProcess } from 'node:child_process';

export function keepalived(
  place: { readonly name: string; readonly enter: readonly string[] },
  options: { readonly folder: string; readonly address: string; readonly priority: number },
): ChildProcess;
