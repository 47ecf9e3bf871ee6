import { expect, test } from 'vitest';
import { vipObjects, withName } from '../../src/cluster/vip-objects.ts';

test('each server writes its own address down, and leaves those of others as they are', () => {
  const names = withName({}, 's1', '192.0.2.10');
  expect(names).toEqual({ s1: '192.0.2.10' });
  expect(withName(names, 's2', '192.0.2.11')).toEqual({ s1: '192.0.2.10', s2: '192.0.2.11' });
  expect(withName(names, 's1', '192.0.2.12')).toEqual({ s1: '192.0.2.12' });
  expect(withName({ ...names, s2: '192.0.2.11' }, 's1', undefined)).toEqual({ s2: '192.0.2.11' });
});

test('the process of virtual IPs may read what servers have written down, and not write it', () => {
  const text = JSON.stringify(vipObjects());
  expect(text).toContain('"resourceNames":["vip-apiserver"],"verbs":["get","list","watch"]');
});
