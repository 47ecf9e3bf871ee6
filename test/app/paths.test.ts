import { expect, test } from 'vitest';
import { pathsOf } from '../../src/app/paths.ts';

test.each(['', 'relative/folder'])('an XDG variable that is %j is as good as unset', (value) => {
  const env = { HOME: '/home/me', XDG_DATA_HOME: value, XDG_RUNTIME_DIR: value, XDG_CONFIG_HOME: value };
  const unset = pathsOf({ env: { HOME: '/home/me' }, uid: 1000 });
  expect(pathsOf({ env, uid: 1000 })).toEqual(unset);
  expect(unset.dataDir).toBe('/home/me/.local/share/k3s-lite');
});
