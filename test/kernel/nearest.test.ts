import { expect, test } from 'vitest';
import { nearestName } from '../../src/kernel/nearest.ts';

const units = ['etcd', 'kube-apiserver', 'kubelet', 'containerd'];

test.each([
  ['ectd', 'etcd'],
  ['kube-apisever', 'kube-apiserver'],
  ['KUBELET', 'kubelet'],
  ['container', 'containerd'],
])('%s was meant to be %s', (typed, meant) => {
  expect(nearestName(typed, units)).toBe(meant);
});

test.each(['postgres', 'x', ''])('nothing is near enough to "%s"', (typed) => {
  expect(nearestName(typed, units)).toBeUndefined();
});

test('the nearest of several near names is taken', () => {
  expect(nearestName('kubelot', ['kubectl', 'kubelet'])).toBe('kubelet');
});
