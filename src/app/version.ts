/** The version of this package, put in by the build. */
declare const K3S_LITE_VERSION: string | undefined;

export const version: string = typeof K3S_LITE_VERSION === 'undefined' ? '0.0.0-source' : K3S_LITE_VERSION;
