/** Installs what is missing where root may. @returns whether they are there now */
export function hasPackages(names: readonly string[], purpose: string): Promise<boolean>;
