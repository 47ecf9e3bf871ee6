/** When a running k3s-lite makes certificates anew: real certificates, a fake clock, an executor that notes what it is asked. */
import { expect, onTestFinished, test } from 'vitest';
import { renewCertificates } from '../../src/app/certificate-renewal.ts';
import { ensureCertificates } from '../../src/cluster/certificates.ts';
import { layoutOf } from '../../src/cluster/layout.ts';
import { prepare } from '../../src/app/prepare.ts';
import { readConfiguration } from '../../src/app/configuration.ts';
import type { UnitSnapshot } from '../../src/unit/state.ts';
import { settingsIn, temporaryFolder } from '../cluster-room/settings-kit.ts';
import { fakeClock } from '../kit/fake-clock.ts';

const dayMs = 86_400_000;
const certificateDays = 365;
/** Source: src/cluster/certificate-check.ts. */
const renewedBeforeDays = 90;
/** Source: src/app/certificate-renewal.ts. */
const lookEveryMs = 6 * 3_600_000;

async function running(options: { readonly desired?: UnitSnapshot['desired'] } = {}) {
  const dataDir = temporaryFolder();
  const clock = fakeClock(Date.now());
  const settings = settingsIn(dataDir);
  await ensureCertificates(settings, clock);
  const configuration = await readConfiguration({ options: { dataDir }, env: {}, cwd: '/', uid: 0 });
  const { graph } = await prepare({ configuration, units: [], env: {}, cwd: '/', needsPrograms: false });
  const restarted: string[] = [];
  const notices: string[] = [];
  let answer: () => void = () => undefined;
  const renewal = renewCertificates({
    layout: layoutOf(settings),
    executor: {
      graph,
      unit: () =>
        ({
          current: { desired: options.desired ?? 'up' },
          when: () => new Promise<void>((resolve) => (answer = resolve)),
        }) as never,
      restartUnits(units) {
        restarted.push(...units);
        return { units: units.map((unit) => ({ unit, generation: 1 })) };
      },
    },
    clock,
    notice: (text) => notices.push(text),
  });
  onTestFinished(() => renewal[Symbol.dispose]());
  return { clock, restarted, notices, renewal, done: () => answer() };
}

test('certificates that are good for long are left alone, and ones near their end are made anew, then their copies', async () => {
  const { clock, restarted, done } = await running();
  clock.shiftWall((certificateDays - renewedBeforeDays - 1) * dayMs);
  await clock.advance(lookEveryMs);
  expect(restarted).toEqual([]);
  clock.shiftWall(2 * dayMs);
  await clock.advance(lookEveryMs);
  expect(restarted).toEqual(['certificates']);
  done();
  await clock.settle();
  expect(restarted).toEqual(['certificates', 'kubeconfigs']);
});

test('a unit that somebody has stopped stays stopped', async () => {
  const { clock, restarted } = await running({ desired: 'down' });
  clock.shiftWall(certificateDays * dayMs);
  await clock.advance(lookEveryMs);
  expect(restarted).toEqual([]);
});

test('after its end nothing is looked at any more', async () => {
  const { clock, renewal } = await running();
  renewal[Symbol.dispose]();
  expect(clock.pendingTimers).toBe(0);
});
