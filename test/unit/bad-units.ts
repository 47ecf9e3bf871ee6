/** Unit files with every kind of mistake; what is said of them is in diagnostics.golden.txt. */
import { unit } from './unit-folder.ts';

export interface BadUnits {
  readonly title: string;
  readonly files: Readonly<Record<string, string | Buffer>>;
  readonly disable?: readonly string[];
}

const one = (title: string, text: string | Buffer): BadUnits => ({ title, files: { 'a.yaml': text } });

export const badUnits: readonly BadUnits[] = [
  one('[S7] an unknown key, nearly a known one', unit('startWitin: 60s\n')),
  one('an unknown key that is like no known one', unit('colour: red\n')),
  one('a key of an edge in the unit', unit('maxWait: 5s\n')),
  one('a key of the unit in a map', unit('stop:\n  startWithin: 5s\n')),
  one(
    'unknown keys deep inside',
    unit('ready:\n  all:\n    - https: { url: "https://a", sertver: x }\n    - tpc: "a:1"\n'),
  ),
  one('nothing that a unit needs', 'kind: task\n'),
  one('a missing key of a check', unit('ready:\n  https: { ca: /ca }\n')),
  one('text for a list', 'about: A\nrun: etcd --data-dir /data\n'),
  one('numbers and truth values for text', unit('env: { A: 1, B: true }\nflags: { c: 2.5 }\nuser: 0\n')),
  one('a number for a duration', unit('startWithin: 60\n')),
  one('a duration without its unit', unit('startWithin: "60"\nrestart: { backoff: { first: 1 s } }\n')),
  one('nothing for a value', 'about:\nrun: [a]\nenv:\n'),
  one('a list for a map', unit('restart: [always]\n')),
  one('text in quotes for a number', unit('limits: { nofile: "1024" }\n')),
  one('numbers outside their limits', unit('claims: { ports: [0, 65536, 80.5] }\nlimits: { oomScoreAdjust: -1001 }\n')),
  one('an empty list', 'about: A\nrun: []\n'),
  one('text that is too long', `about: ${'long '.repeat(30)}\nrun: [a]\n`),
  one('a word that is none of those allowed', unit('kind: servce\nstop: { signal: SIGTREM }\n')),
  one('edges as a map, as text and of no kind', unit('needs: { hard: b }\n')),
  one('an edge that is text', unit('needs: [b]\n')),
  one('an edge of no kind and of two', unit('needs:\n  - until: started\n  - hard: b\n    soft: c\n')),
  one(
    '[S7] options that do not go with the kind of an edge',
    unit('needs:\n  - { hard: b, maxWait: 5s }\n  - { soft: c, until: started }\n  - { parallel: d, onLoss: stop }\n'),
  ),
  one('a misspelt kind of an edge', unit('needs:\n  - hrad: b\n')),
  one('an edge to what cannot be a unit', unit('needs:\n  - hard: Etcd.yaml\n  - hard: 5\n')),
  one('two checks, and none', unit('ready: { tcp: "a:1", notify: true }\nhealth: { every: 5s }\n')),
  one('notify that is not true', unit('ready: { notify: yes }\n')),
  one('an unknown variable, nearly a known one', unit('cwd: ${datadir}/x\n')),
  one(
    'unknown variables in several places',
    'about: A\nrun: [a, "${one}", "${nodeName} ${two}"]\nenv: { X: "${three}" }\n',
  ),
  one('a variable without its brace', unit('cwd: /x/${dataDir\n')),
  one('${instance} outside a template', unit('cwd: /x/${instance}\n')),
  one('a variable without quotes in a list', 'about: A\nrun: [a, ${dataDir}/x]\n'),
  one('a tab', 'about: A\nrun:\n\t- a\n'),
  one('a key written twice', unit('cwd: /a\ncwd: /b\n')),
  one('a quote that is never closed', 'about: "A\nrun: [a]\n'),
  one('a bracket that is never closed', 'about: A\nrun: [a\nenv: {}\n'),
  one('text with a colon', 'about: A: the first\nrun: [a]\n'),
  one('wrong indentation', 'about: A\n  run: [a]\n'),
  one('two documents', 'about: A\nrun: [a]\n---\nabout: B\nrun: [b]\n'),
  one('an anchor and an alias', 'about: &name A\nrun: [*name]\n'),
  one(
    'a bomb of aliases',
    `a: &a [x, x]\n${Array.from('bcdefgh')
      .map((name, index) => `${name}: &${name} [*${'abcdefg'.charAt(index)}, *${'abcdefg'.charAt(index)}]\n`)
      .join('')}`,
  ),
  one('a tag', 'about: !secret A\nrun: !!binary aGk=\n'),
  one('a key that is not text', unit('5: x\n')),
  one('a nest of a hundred thousand lists', `about: ${'['.repeat(100_000)}\n`),
  one('a nest of dashes', `about:\n  ${'- '.repeat(1000)}x\n`),
  one('an empty file', ''),
  one('only comments', '# nothing yet\n'),
  one('a list instead of a unit', '- a\n- b\n'),
  one('text instead of a unit', 'etcd\n'),
  one('not UTF-8', Buffer.from([0x61, 0x62, 0x6f, 0x75, 0x74, 0x3a, 0x20, 0xff, 0xfe, 0x0a])),
  one('UTF-16', Buffer.from('about: A\n', 'utf16le')),
  one('a huge file', `about: A\nrun: [a]\n# ${'x'.repeat(300 * 1024)}\n`),
  one(
    'a mistake at the end of a long line',
    unit(`env: { ${Array.from({ length: 30 }, (_, index) => `NAME_${String(index)}: x`).join(', ')}, LAST: 5 }\n`),
  ),
  one('control characters in a line', unit('env: { "A\\e": 1, \u009b31m: 2 }\n')),
  {
    title: 'several mistakes in several files, all at once',
    files: {
      'b.yaml': unit('cwd: 5\nuzer: x\n'),
      'a.yaml': 'abuot: A\nrun: [a]\n',
      'c.yaml': unit(),
      'd.yaml': 'a: [\n',
    },
  },
  {
    title: 'a template and its instance, and a template that nobody uses',
    files: {
      'web@.yaml': unit('cwd: 5\n'),
      'all.yaml': unit('needs: [{ hard: web@one }]\n'),
      'unused@.yaml': unit('startWithin: ${instanse}\n'),
    },
  },
  {
    title: 'drop-ins: of nothing, in no folder, with a mistake, and one that removes what is needed',
    files: {
      'etcd.yaml': unit('needs: [{ hard: certificates }]\n'),
      'units.d/etdc/x.yaml': 'cwd: /x\n',
      'units.d/loose.yaml': 'cwd: /x\n',
      'units.d/etcd/a.yaml': 'about: null\nneeds: [{ without: certificate }]\nstop: { within: 10 }\n',
    },
  },
  {
    title: 'names that cannot be units',
    files: { 'Etcd.yaml': unit(), 'a b.yaml': unit(), 'etcd.yml': unit(), 'ok.yaml': unit() },
  },
  { title: 'a folder without units', files: { 'units/readme.md': 'x' } },
  { title: 'disabling what is not there', files: { 'etcd.yaml': unit() }, disable: ['etdc'] },
];
