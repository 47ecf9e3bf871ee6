/** `k3s-lite certificate check|rotate`. */
import { askForNewCertificates, certificatesOf } from '../../app/cluster-certificates.ts';
import type { Paths } from '../../app/paths.ts';
import { isNotRunning } from '../../control/client.ts';
import { exitCode } from '../../error/codes.ts';
import { StartupError } from '../../error/startup-error.ts';
import { systemClock } from '../../kernel/clock.ts';
import type { CommandInput, CommandRun } from '../command.ts';
import { certificateTable } from './certificate-table.ts';
import { clientOf, placeOf } from './connect.ts';
import { moveUnits, untilUp } from './move-units.ts';

export const run: CommandRun = async (input) => {
  const [what = ''] = input.args;
  switch (what) {
    case 'check':
      return check(input);
    case 'rotate':
      return rotate(input);
    default:
      throw new StartupError('ERR_USAGE', `there is no \`k3s-lite certificate ${what}\`; known are check and rotate`, {
        what,
      });
  }
};

/** Exit code 4 when one has expired or cannot be read: it serves as a health check too. */
async function check(input: CommandInput): Promise<number> {
  const { io, options } = input;
  const listing = certificatesOf(await placeOf(input), servicesOf(input), systemClock.wallMs());
  const nowMs = systemClock.wallMs();
  if (options['json'] === true) io.out(`${JSON.stringify(listing, undefined, 2)}\n`);
  else io.out(`${certificateTable(listing, { nowMs, colour: io.colour })}\n`);
  const isGood = listing.broken.length === 0 && listing.certificates.every(({ endsMs }) => endsMs > nowMs);
  return isGood ? exitCode.ok : exitCode.notReady;
}

async function rotate(input: CommandInput): Promise<number> {
  const { io, options } = input;
  const json = options['json'] === true;
  const paths = await placeOf(input);
  const asked = servicesOf(input);
  if (asked.includes('authority')) throw authorityError();
  const list = () => certificatesOf(paths, asked, systemClock.wallMs());
  const leaves = list().certificates.filter(({ isAuthority }) => !isAuthority);
  const services = [...new Set(leaves.map(({ service }) => service))];
  await askForNewCertificates(paths, services, systemClock.wallMs());
  const units = await makersIn(input, paths);
  if (units === undefined) {
    if (json) io.out(`${JSON.stringify({ rotated: [], pending: services })}\n`);
    else io.out('no k3s-lite runs here: the next start makes the new certificates\n');
    return exitCode.ok;
  }
  // One after the other: the kubeconfigs for people hold what the first has made.
  for (const unit of units) {
    const code = await moveUnits(json ? silent(input) : input, {
      ask: (client) => client.restart({ units: [unit], cascade: false }),
      isDone: (snapshots, moved) => moved.every(({ unit: name, generation }) => untilUp(snapshots, name, generation)),
    });
    if (code !== exitCode.ok) return code;
  }
  const before = new Map(leaves.map(({ file, serial }) => [file, serial]));
  const rotated = list().certificates.filter(({ file, serial }) => before.has(file) && before.get(file) !== serial);
  if (json) io.out(`${JSON.stringify({ rotated, pending: [] })}\n`);
  else {
    io.out(
      `${certificateTable({ certificates: rotated, broken: [] }, { nowMs: systemClock.wallMs(), colour: io.colour })}\n`,
    );
    io.out(`${String(rotated.length)} certificates are new, with the keys they had; nothing was restarted for them\n`);
  }
  return exitCode.ok;
}

/** The units that make certificates and copies of them; undefined when nothing runs. */
async function makersIn({ signal }: CommandInput, paths: Paths): Promise<readonly string[] | undefined> {
  try {
    const { units } = await clientOf(paths, signal).status();
    const there = new Set(units.map(({ unit }) => unit));
    return ['certificates', 'node-certificates', 'kubeconfigs'].filter((name) => there.has(name));
  } catch (error) {
    if (isNotRunning(error)) return undefined;
    throw error;
  }
}

function servicesOf({ options }: CommandInput): readonly string[] {
  const given = options['service'];
  const words = Array.isArray(given) ? (given as readonly string[]) : [];
  return words.flatMap((word) => word.split(',')).filter((word) => word !== '');
}

const silent = (input: CommandInput): CommandInput => ({ ...input, io: { ...input.io, out: () => undefined } });

const authorityError = (): StartupError =>
  new StartupError(
    'ERR_CONFIG',
    'authorities are not rotated: all that they have signed, on every machine, would have to be made anew; they are renewed with their own keys a year before their end',
    {},
  );
