/**
 * From the moment at which a check would first succeed to the first instruction of the unit that
 * waits for it. The services become ready at many different ages, because a check that polls is
 * quick with the young and slow with the old.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cli, nativePrograms, withFolder } from '../place.mjs';
import { runSupervisor } from '../supervisor.mjs';
import { row } from './small-graphs.mjs';

/** Ages at which the services become ready, ms: apart from each other, so that none waits for another's spawn. */
const ages = Array.from({ length: 24 }, (_, i) => 120 + i * 83);

const kinds = {
  notify: () => ({ where: '-', ready: 'notify: true' }),
  tcp: (port) => ({ where: `127.0.0.1:${port}`, ready: `tcp: "127.0.0.1:${port}"` }),
  http: (port) => ({ where: `127.0.0.1:${port}`, ready: `http: {url: "http://127.0.0.1:${port}/"}` }),
  unix: (_port, file) => ({ where: file, ready: `unix: ${file}` }),
  log: () => ({ where: '-', ready: 'log: "^ready$"' }),
  file: (_port, file) => ({ where: file, ready: `file: ${file}` }),
  // Listens from its start and answers 503: nothing tells of the change, so it can only be polled.
  late: (port) => ({
    where: `127.0.0.1:${port}`,
    ready: `http: {url: "http://127.0.0.1:${port}/"}`,
    name: 'http, 503 before',
  }),
};

export async function probeLatency({ runs, quick, say }) {
  const { outside, stamp } = nativePrograms();
  const rows = [];
  const rounds = quick ? 1 : Math.max(1, Math.round(runs / 3));
  for (const [kind, shape] of Object.entries(kinds)) {
    const latencies = [];
    let label = kind;
    for (let round = 0; round < rounds; round++) {
      say(`${kind}, run ${round + 1}`);
      await withFolder(async (folder) => {
        const stamps = path.join(folder, 'stamps');
        const units = path.join(folder, 'units');
        mkdirSync(units);
        mkdirSync(path.join(folder, 'data'));
        const ports = await freePorts(ages.length);
        ages.forEach((age, i) => {
          const { where, ready, name } = shape(ports[i], path.join(folder, `w${i}`));
          label = name ?? kind;
          write(
            units,
            `server${i}`,
            [outside, 'serve', kind, stamps, `server${i}`, String(age), where],
            `ready: {${ready}}`,
          );
          write(units, `after${i}`, [...stamp, stamps, `after${i}`], `needs: [{hard: server${i}}]`);
        });
        const argv = [process.execPath, cli, 'up', '--units', units, '--data-dir', path.join(folder, 'data')];
        const { seen } = await runSupervisor({ argv, folder, stamps, expected: 2 * ages.length });
        ages.forEach((_, i) => latencies.push(seen.get(`after${i}`).start - seen.get(`server${i}`).ready));
      });
    }
    rows.push(row(`probe: ${label}`, 'true ready → dependent runs', latencies, 'ms', kind === 'late' ? undefined : 3));
  }
  return rows;
}

function write(folder, name, run, ...lines) {
  writeFileSync(
    path.join(folder, `${name}.yaml`),
    ['about: for the benchmark', `run: ${JSON.stringify(run)}`, ...lines, ''].join('\n'),
  );
}

async function freePorts(count) {
  const { createServer } = await import('node:net');
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
