import path from 'node:path';
import { expect, test } from 'vitest';
import { isContainerEntry, withContainerUnits } from '../../src/app/container-mode.ts';
import { shippedUnits } from '../../src/app/shipped.ts';

const own = (pid: number, ppid: number, init?: string) => ({ pid, ppid, env: { K3S_LITE_UNDER_INIT: init } });

test.each([
  ['process 1', {}, own(1, 0), true],
  ['the child of our init', {}, own(7, 1, '1'), true],
  ['a service of another init', {}, own(7, 1), false],
  ['a command in a shell', {}, own(7, 6, '1'), false],
  ['the child of our init below another one', {}, own(7, 6, '6'), false],
  ['--init, which may be wanted anywhere', { init: true }, own(7, 6), false],
  ['--container on', { container: 'on' }, own(7, 6), true],
  ['--container off as process 1', { container: 'off' }, own(1, 0), false],
])('[C5] %s', (_, values, process_, expected) => {
  expect(isContainerEntry(values, process_)).toBe(expected);
});

test('another word for --container is a mistake', () => {
  expect(() => isContainerEntry({ container: 'yes' })).toThrow('must be auto, on or off');
});

test('the container’s units come with the shipped ones and with no others', () => {
  const shipped = shippedUnits();
  const own_ = { dirs: ['/own'], dropInDirs: ['/etc/k3s-lite/units.d'] };
  expect(withContainerUnits(own_, true)).toEqual(own_);
  const both = { dirs: [shipped, '/own'], dropInDirs: ['/etc/k3s-lite/units.d'] };
  expect(withContainerUnits(both, false)).toEqual(both);
  expect(withContainerUnits(both, true)).toEqual({
    dirs: [shipped, path.join(shipped, 'container'), '/own'],
    dropInDirs: [path.join(shipped, 'container.d'), '/etc/k3s-lite/units.d'],
  });
});
