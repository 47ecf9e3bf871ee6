import { expect, test } from 'vitest';
import { parseMountinfo } from '../../src/cluster/mountinfo.ts';
import { isEmptyTable, parseTables } from '../../src/cluster/nft-tables.ts';

test('mount points are read with their types, sources and options, blanks in names included', () => {
  const text = [
    '36 35 98:0 / /data/with\\040blank rw,noatime master:1 - ext4 /dev/vda rw',
    '37 35 0:30 / /sys/fs/cgroup/memory ro shared:4 - cgroup cgroup rw,memory',
    '',
  ].join('\n');
  expect(parseMountinfo(text)).toEqual([
    { point: '/data/with blank', type: 'ext4', source: '/dev/vda', isReadOnly: false, isShared: false },
    { point: '/sys/fs/cgroup/memory', type: 'cgroup', source: 'cgroup', isReadOnly: true, isShared: true },
  ]);
});

test('names of nftables tables are read', () => {
  expect(parseTables('table ip nat\ntable inet cni_plugins_masquerade\n')).toEqual([
    { family: 'ip', name: 'nat' },
    { family: 'inet', name: 'cni_plugins_masquerade' },
  ]);
});

const masquerade = (rule: string) => `table inet cni_plugins_masquerade {
	comment "Masquerading for plugins from github.com/containernetworking/plugins"
	chain masq_checks {
		comment "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet"
${rule}	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip daddr 224.0.0.0/4 return
		ip6 daddr ff00::/8 return
		goto masq_checks
	}
}
`;

test('a table without rules may go, one with a rule stays', () => {
  expect(isEmptyTable('table ip nat {\n}\n')).toBe(true);
  expect(isEmptyTable(masquerade(''))).toBe(true);
  expect(isEmptyTable(masquerade('\t\tip saddr 10.42.0.2 ip daddr != 10.42.0.0/24 masquerade\n'))).toBe(false);
  expect(isEmptyTable('table ip filter {\n\tchain INPUT {\n\t\ttcp dport 22 accept\n\t}\n}\n')).toBe(false);
  expect(
    isEmptyTable(
      'table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n',
    ),
  ).toBe(false);
});
