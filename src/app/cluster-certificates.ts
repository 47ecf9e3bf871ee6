/** What `k3s-lite certificate` does with the files of a data directory. */
import { listCertificates, type CertificateListing } from '../cluster/certificate-list.ts';
import { askForRotation } from '../cluster/certificate-rotation.ts';
import { layoutOf } from '../cluster/layout.ts';
import { StartupError } from '../error/startup-error.ts';
import { nearestName } from '../kernel/nearest.ts';
import type { Paths } from './paths.ts';

/** @param services - only theirs. @throws StartupError ERR_CONFIG for a service that has no certificate here, or when there is none at all */
export function certificatesOf(paths: Paths, services: readonly string[], nowMs: number): CertificateListing {
  const { certificates, broken } = listCertificates(layoutOf(paths), nowMs);
  if (certificates.length === 0 && broken.length === 0) {
    throw new StartupError(
      'ERR_CONFIG',
      `there are no certificates in ${paths.dataDir} yet: \`k3s-lite up\` makes them`,
      {
        dataDir: paths.dataDir,
      },
    );
  }
  const known = [...new Set(certificates.map(({ service }) => service))].sort();
  for (const service of services) {
    if (known.includes(service)) continue;
    const nearest = nearestName(service, known);
    const meant = nearest === undefined ? '' : `; did you mean ${nearest}?`;
    throw new StartupError(
      'ERR_CONFIG',
      `no certificate here is of "${service}"${meant} There are: ${known.join(', ')}`,
      {
        service,
      },
    );
  }
  const wanted =
    services.length === 0 ? certificates : certificates.filter(({ service }) => services.includes(service));
  return { certificates: wanted, broken };
}

/** Whoever makes the certificates finds it, at once or at the next start. */
export async function askForNewCertificates(paths: Paths, services: readonly string[], nowMs: number): Promise<void> {
  await askForRotation(layoutOf(paths).rotation, services, nowMs);
}
