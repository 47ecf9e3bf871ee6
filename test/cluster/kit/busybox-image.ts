/** The image of pods of tests: this machine's static busybox, which a node imports when it starts. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { busyboxRecipe } from '../../../src/cluster/first-pod.ts';
import { directoryOf } from '../../../src/cluster/machine.ts';
import { packOciArchive } from '../../../src/cluster/oci-archive.ts';

/** @param name - of the image, as pods say it */
export function putBusyboxImage(dataDir: string, name: string): void {
  const directory = directoryOf('busybox', (process.env['PATH'] ?? '').split(':'));
  if (directory === undefined) throw new Error('busybox was not found: install busybox-static');
  const recipe = { ...busyboxRecipe(readFileSync(path.join(directory, 'busybox'))), name };
  const images = path.join(dataDir, 'agent/images');
  mkdirSync(images, { recursive: true });
  writeFileSync(path.join(images, 'test.tar'), packOciArchive(recipe).bytes);
}
