/** The table of all commands: help, parsing and documentation come from it; code is loaded when it runs. */
import { graphFlags, placeFlags, upFlags, type Flag } from '../app/flags.ts';
import type { CommandRow, OptionRow } from './command.ts';

const optionsOf = (flags: readonly Flag[]): OptionRow[] =>
  flags.map(({ name, value, list = false, about }) => ({
    flags: value === undefined ? `--${name}` : `--${name} <${value}>`,
    about: list ? `${about} (repeatable)` : about,
    list,
  }));

const json: OptionRow = { flags: '--json', about: 'Print JSON' };
const place = optionsOf(placeFlags);
/** Of the commands that move units and wait for the outcome. */
const moveOptions: readonly OptionRow[] = [
  ...place,
  { flags: '--no-wait', about: 'Return at once' },
  { flags: '--timeout <duration>', about: 'How long to wait, like 90s (default 5m); then the exit code is 4' },
  json,
];

export const commandRows: readonly CommandRow[] = [
  {
    name: 'up',
    aliases: ['server'],
    args: '[units...]',
    takesRest: true,
    about: 'Start units (default: all) in graph order and keep them up until a signal',
    options: optionsOf(upFlags),
    examples: [
      'k3s-lite up',
      'k3s-lite up --disable-agent --data-dir ./cluster',
      'k3s-lite up --units ./my-units api',
      'k3s-lite up --wait --timeout 90s',
      'k3s-lite up --units ./my-units --exit-with web -- --verbose',
      'k3s-lite up --detach',
    ],
    load: () => import('./commands/up.ts'),
  },
  {
    name: 'down',
    about: 'Stop everything in stop order and leave nothing behind',
    options: [...place, { flags: '--hurry', about: 'Kill at once instead of waiting for a clean stop' }, json],
    examples: ['k3s-lite down'],
    load: () => import('./commands/down.ts'),
  },
  {
    name: 'start',
    args: '<units...>',
    about: 'Start units and what they need; returns when they are ready',
    options: moveOptions,
    examples: ['k3s-lite start kube-scheduler', 'k3s-lite start --no-wait kubelet'],
    load: () => import('./commands/start.ts'),
  },
  {
    name: 'stop',
    args: '<units...>',
    about: 'Stop units; they stay stopped until they are started again',
    options: [{ flags: '--cascade', about: 'Stop what needs them first' }, ...moveOptions],
    examples: ['k3s-lite stop kube-scheduler', 'k3s-lite stop --cascade etcd'],
    load: () => import('./commands/stop.ts'),
  },
  {
    name: 'restart',
    args: '<units...>',
    about: 'Restart units; what needs them does as its `onLoss` says',
    options: [{ flags: '--cascade', about: 'Restart what needs them too, in order' }, ...moveOptions],
    examples: ['k3s-lite restart kube-apiserver', 'k3s-lite restart --cascade etcd --timeout 2m'],
    load: () => import('./commands/restart.ts'),
  },
  {
    name: 'reload',
    about: 'Read unit files and configuration anew; only what changed restarts, what then fails is rolled back',
    options: [...place, { flags: '--dry-run', about: 'Only show what would be done' }, json],
    examples: ['k3s-lite reload --dry-run', 'k3s-lite reload'],
    load: () => import('./commands/reload.ts'),
  },
  {
    name: 'status',
    about: 'Show every unit: state, since when, what it waits for, last error',
    options: [...place, { flags: '-w, --wide', about: 'With CPU time and memory of each unit' }, json],
    examples: ['k3s-lite status', 'k3s-lite status --wide', 'k3s-lite status --json'],
    load: () => import('./commands/status.ts'),
  },
  {
    name: 'why',
    args: '<unit>',
    about: 'Explain why a unit is in its state: gates, errors, next retry',
    options: [...place, json],
    examples: ['k3s-lite why kubelet'],
    load: () => import('./commands/why.ts'),
  },
  {
    name: 'logs',
    args: '<unit>',
    about: 'Show the output of a unit',
    options: [
      ...place,
      { flags: '-f, --follow', about: 'Keep showing new lines' },
      { flags: '-n, --lines <n>', about: 'How many lines back (default 100)' },
    ],
    examples: ['k3s-lite logs etcd', 'k3s-lite logs -f kube-apiserver'],
    load: () => import('./commands/logs.ts'),
  },
  {
    name: 'events',
    about: 'Show what happened, and with --follow what happens',
    options: [
      ...place,
      { flags: '-f, --follow', about: 'Keep showing new events (without --since only those)' },
      { flags: '--since <seq>', about: 'From this event on; a `dropped` line tells how many are no longer kept' },
      { flags: '--json', about: 'Print JSON lines' },
    ],
    examples: ['k3s-lite events', 'k3s-lite events -f --since 1200', 'k3s-lite events -f --json'],
    load: () => import('./commands/events.ts'),
  },
  {
    name: 'dump',
    about: 'Write the inner state of the running k3s-lite to a file and print its name',
    options: [...place, json],
    examples: ['k3s-lite dump'],
    load: () => import('./commands/dump.ts'),
  },
  {
    name: 'check',
    args: '[dir]',
    about: 'Check unit files and their graph without starting anything',
    options: [...optionsOf(graphFlags), json],
    examples: ['k3s-lite check ./my-units'],
    load: () => import('./commands/check.ts'),
  },
  {
    name: 'plan',
    args: '[units...]',
    about: 'Show what `up` would start, in which order, and what each unit waits for',
    options: [...optionsOf(graphFlags), json],
    examples: ['k3s-lite plan', 'k3s-lite plan kubelet'],
    load: () => import('./commands/plan.ts'),
  },
  {
    name: 'graph',
    args: '[units...]',
    about: 'Draw the dependency graph',
    options: [
      ...optionsOf(graphFlags),
      { flags: '--format <format>', about: 'dot (default), svg, text or json' },
      { flags: '--live', about: 'Colour the states of the running k3s-lite and the critical path' },
      { flags: '--output <file>', about: 'Write to a file instead of standard output' },
    ],
    examples: ['k3s-lite graph | dot -Tpng > graph.png', 'k3s-lite graph --format svg --live --output graph.svg'],
    load: () => import('./commands/graph.ts'),
  },
  {
    name: 'analyze',
    args: '<what> [starts...]',
    about:
      'Explain where the time of a start went: blame, critical-chain, plot (SVG), trace (Perfetto) or diff [A] [B]',
    options: [
      ...place,
      { flags: '--start <n>', about: 'Which start: latest (default) or 1, 2 for the one before, and so on' },
      json,
    ],
    examples: [
      'k3s-lite analyze blame',
      'k3s-lite analyze critical-chain',
      'k3s-lite analyze plot > start.svg',
      'k3s-lite analyze trace > start.json   # open it in ui.perfetto.dev',
      'k3s-lite analyze diff       # the latest start against the median of those before',
      'k3s-lite analyze diff 1 3   # against one of them',
    ],
    load: () => import('./commands/analyze.ts'),
  },
  {
    name: 'metrics',
    about: 'Print the metrics of the running k3s-lite, as Prometheus reads them',
    options: place,
    examples: ['k3s-lite metrics'],
    load: () => import('./commands/metrics.ts'),
  },
  {
    name: 'components',
    args: '<what> [names...]',
    about: 'The real binaries: list, build [NAME…], verify, export FILE or import FILE',
    options: [
      ...place,
      { flags: '--bin-dir <dir>', about: 'Folder searched first' },
      { flags: '--all', about: 'build: also what is found elsewhere already' },
      { flags: '--force', about: 'build: again, although it is in the cache' },
      { flags: '--arch <goarch>', about: 'build, export: for another architecture, as Go names it' },
      json,
    ],
    examples: ['k3s-lite components list', 'k3s-lite components build', 'k3s-lite components export components.tar'],
    load: () => import('./commands/components.ts'),
  },
  {
    name: 'kubectl',
    args: '[args...]',
    about: 'kubectl with this cluster’s kubeconfig',
    options: place,
    examples: ['k3s-lite kubectl get nodes'],
    passThrough: true,
    load: () => import('./commands/kubectl.ts'),
  },
  {
    name: 'lb',
    args: '<what> [words...]',
    about:
      'A running balancer: list, explain, events, metrics, drain SERVER, undrain SERVER, pin SERVER, unpin, simulate STEP…',
    options: [
      ...place,
      { flags: '--name <name>', about: 'Which one, if several run' },
      { flags: '--grace <duration>', about: 'drain: how long busy connections may go on, like 30s' },
      { flags: '-f, --follow', about: 'events: keep showing new ones (without --since only those)' },
      { flags: '--since <seq>', about: 'events: from this one on' },
      json,
    ],
    examples: [
      'k3s-lite lb list',
      'k3s-lite lb explain',
      'k3s-lite lb drain 10.0.0.1:6443 --grace 60s',
      'k3s-lite lb pin 10.0.0.2:6443',
      'k3s-lite lb simulate check-failed=10.0.0.1:6443 dial-ok=10.0.0.2:6443',
    ],
    load: () => import('./commands/lb.ts'),
  },
  {
    name: 'internal',
    args: '<what>',
    about: 'Services of k3s-lite that run as units: manifests, balancer',
    options: [
      { flags: '--data-dir <dir>', about: 'Folder for all state' },
      { flags: '--config <file>', about: 'Configuration of a balancer' },
      { flags: '--server <url>', about: 'URL of the API server' },
      { flags: '--disable <names>', about: 'Manifests that are left out, with commas between them' },
    ],
    examples: [],
    hidden: true,
    load: () => import('./commands/internal.ts'),
  },
  {
    name: 'completion',
    args: '<shell>',
    about: 'Print a completion script for bash, zsh or fish',
    options: [],
    examples: ['source <(k3s-lite completion bash)'],
    load: () => import('./commands/completion.ts'),
  },
];
