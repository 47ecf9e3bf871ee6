export interface TreeEntry {
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink';
  readonly mode: number;
  readonly size?: number;
  readonly source?: string;
  readonly content?: string;
  readonly target?: string;
}
export function writeLayer(
  file: string,
  entries: readonly TreeEntry[],
): Promise<{ readonly digest: string; readonly size: number }>;
