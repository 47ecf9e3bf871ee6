/** What an image says of how it is run. Source: OCI Image Format 1.1, image configuration. */
export interface ImageConfig {
  readonly Entrypoint: readonly string[];
  readonly Env: readonly string[];
  readonly ExposedPorts: Readonly<Record<string, object>>;
  readonly Volumes?: Readonly<Record<string, object>>;
  readonly StopSignal: string;
}
export const nodeConfig: ImageConfig;
export const minimalConfig: ImageConfig;
