/** A disk that is slow for some processes alone: the kernel lets them write so many times a second (cgroup v1, blkio). */
import { existsSync, mkdirSync, readFileSync, realpathSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readMounts } from '../../../src/cluster/mountinfo.ts';

export interface SlowDisk extends Disposable {
  /** From now on; other processes of the disk are as fast as ever. */
  limit(writesPerSecond: number): void;
}

/**
 * For a process, with all that it writes to the disk that `folder` is on. Disposing lets it go.
 *
 * @throws an Error where the kernel cannot (no blkio hierarchy, a folder that is on no disk)
 */
export function slowDisk(pid: number, folder: string): SlowDisk {
  const hierarchy = readMounts().find(
    ({ type, point }) => type === 'cgroup' && path.basename(point) === 'blkio',
  )?.point;
  if (hierarchy === undefined) throw new Error('there is no blkio hierarchy of cgroups');
  const before = /^\d+:blkio:(.*)$/m.exec(readFileSync(`/proc/${String(pid)}/cgroup`, 'utf8'))?.[1] ?? '/';
  const group = path.join(hierarchy, `k3s-lite-slow-${String(pid)}`);
  mkdirSync(group);
  const device = deviceOf(folder);
  writeFileSync(path.join(group, 'cgroup.procs'), String(pid));
  return {
    limit: (writes) =>
      writeFileSync(path.join(group, 'blkio.throttle.write_iops_device'), `${device} ${String(writes)}`),
    [Symbol.dispose]() {
      if (existsSync(`/proc/${String(pid)}`)) {
        try {
          writeFileSync(path.join(hierarchy, before, 'cgroup.procs'), String(pid));
        } catch {
          // It ended meanwhile.
        }
      }
      rmdirSync(group);
    },
  };
}

/** Limits are of whole disks: of a partition it is its disk's. */
function deviceOf(folder: string): string {
  const { dev } = statSync(folder, { bigint: true });
  // Source: makedev(3), as the C library of Linux encodes it.
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
  const block = `/sys/dev/block/${String(major)}:${String(minor)}`;
  if (!existsSync(block)) throw new Error(`${folder} is on no disk, but on device ${String(major)}:${String(minor)}`);
  const own = realpathSync(block);
  return readFileSync(
    path.join(existsSync(path.join(own, 'partition')) ? path.dirname(own) : own, 'dev'),
    'utf8',
  ).trim();
}
