/** keepalived from the distribution, beside which moves of virtual IPs are measured. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * As its manual has it: one advertisement a second.
 *
 * @param place - of the rig
 * @param folder - for its files; it need not be there
 */
export function keepalived({ name, enter }, { folder, address, priority }) {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, `${name}.conf`);
  writeFileSync(
    file,
    [
      'vrrp_instance one {',
      `  state BACKUP\n  interface eth0\n  virtual_router_id 50\n  priority ${priority}\n  advert_int 1`,
      `  virtual_ipaddress {\n    ${address}/32\n  }`,
      '}\n',
    ].join('\n'),
  );
  const pidFiles = ['-p', path.join(folder, `${name}.pid`), '-r', path.join(folder, `${name}-vrrp.pid`)];
  const argv = [...enter, 'keepalived', '--dont-fork', '--vrrp', '-f', file, ...pidFiles];
  return spawn(argv[0], argv.slice(1), { stdio: 'ignore' });
}
