import type { ImageConfig } from './recipes.mjs';

interface Layer {
  readonly digest: string;
  readonly size: number;
  readonly file: string;
  readonly about: string;
}
interface Described {
  readonly digest: string;
  readonly configuration: string;
  readonly manifest: string;
  readonly index: string;
}
export function describeImage(image: {
  readonly name: string;
  readonly architecture: string;
  readonly layers: readonly Layer[];
  readonly config: ImageConfig;
}): Described;
export function writeImage(
  file: string,
  described: Described,
  layers: readonly Layer[],
): Promise<{ readonly digest: string; readonly size: number }>;
