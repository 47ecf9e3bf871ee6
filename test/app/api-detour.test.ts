import { expect, test } from 'vitest';
import { apiDetour } from '../../src/app/api-detour.ts';

function detour(known: readonly string[]) {
  const asked: (string | undefined)[] = [];
  const { own, failed } = apiDetour({
    known: () => known,
    ownAddresses: () => new Set(['10.0.0.1', '127.0.0.1']),
    redirect: (url) => asked.push(url),
  });
  return { own, failed, asked };
}

test('others are asked one after the other while the own API server is not ready, and it again when it is', () => {
  const { own, failed, asked } = detour(['10.0.0.1:6443', '10.0.0.2:6443', '10.0.0.3:6443']);
  failed(); // The own one: its readiness decides, and no single request.
  expect(asked).toEqual([]);
  own(false);
  failed();
  failed();
  own(true);
  failed();
  expect(asked).toEqual(['https://10.0.0.2:6443', 'https://10.0.0.3:6443', 'https://10.0.0.2:6443', undefined]);
});

test('the only API server there is goes on being asked', () => {
  const { own, failed, asked } = detour(['10.0.0.1:6443']);
  own(false);
  failed();
  expect(asked).toEqual([undefined, undefined]);
});
