/** The mounts of a mount namespace. Source: proc_pid_mountinfo(5). */
import { readFileSync } from 'node:fs';

export interface Mount {
  readonly point: string;
  readonly type: string;
  /** Device or name given to mount(8): "/dev/vda", "overlay". */
  readonly source: string;
  readonly isReadOnly: boolean;
  /** Mounts below it are seen by other namespaces' copies of it, and theirs here. */
  readonly isShared: boolean;
}

/** In order of mounting. */
export function parseMountinfo(text: string): readonly Mount[] {
  return text.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ');
    const [, , , , point, options = '', ...propagation] = left.split(' ');
    const [type, source = ''] = right.split(' ');
    if (point === undefined || type === undefined || type === '') return [];
    return {
      point: unescape(point),
      type,
      source: unescape(source),
      isReadOnly: options.split(',').includes('ro'),
      isShared: propagation.some((field) => field.startsWith('shared:')),
    };
  });
}

/** @param proc - folder of the process whose mount namespace is meant */
export function readMounts(proc = '/proc/self'): readonly Mount[] {
  return parseMountinfo(readFileSync(`${proc}/mountinfo`, 'utf8'));
}

/** Is `point` the folder or something below it? */
export const isUnder = (folder: string, point: string): boolean =>
  folder === '/' || point === folder || point.startsWith(`${folder}/`);

const unescape = (point: string): string =>
  point.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
