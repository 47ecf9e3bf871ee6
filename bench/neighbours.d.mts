import type { Node } from './graphs.mjs';

export function processCompose(say: (text: string) => void): string;
export function processComposeCommand(
  program: string,
  project: string,
  logFile: string,
): { argv: string[]; env: Record<string, string> };
export function processComposeProject(
  nodes: readonly Node[],
  run: (node: Node) => string[],
  how?: { readonly throughShell?: boolean },
): string;
