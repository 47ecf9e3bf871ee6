/**
 * `npm start`: set-up, then `k3s-lite up` in this clone's own git-ignored folder. Further arguments
 * are passed on: `npm start -- --json`.
 */
import path from 'node:path';
import { isRoot, root, setUp } from './setup/all.mjs';
import { run } from './setup/run.mjs';
import { line, main } from './setup/say.mjs';

const place = ['--data-dir', '.k3s-lite/data', '--write-kubeconfig', '.k3s-lite/kubeconfig'];

await main(async () => {
  const given = process.argv.slice(2);
  await setUp();
  const ownUnits = given.some((word) => word === '--units' || word.startsWith('--units='));
  const wanted = isRoot
    ? ownUnits
      ? []
      : ['--units', 'units', '--units', 'examples/first-pod']
    : ['--disable', 'agent'];
  if (!isRoot) {
    line(
      'As a plain user: the control plane only. As root (`sudo npm start`) it is a whole node: containerd, kubelet, kube-proxy and cluster DNS too, so that pods run.',
    );
  }
  const up = await run(process.execPath, [path.join(root, 'bin/k3s-lite.js'), 'up', ...place, ...wanted, ...given], {
    cwd: root,
  });
  return up.code;
});
