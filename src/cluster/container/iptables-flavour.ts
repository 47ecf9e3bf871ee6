/**
 * The `iptables-flavour` builtin: iptables exists in two flavours that do not see each other's rules. The one
 * whose rules are in this network namespace already (the engine's own, for its resolver) is taken;
 * without any it is nft, the kernel's present one.
 */
import type { Builtin, BuiltinContext } from '../../unit/builtin.ts';
import type { Exit } from '../../error/readiness-error.ts';

const flavours = ['nft', 'legacy'] as const;
type Flavour = (typeof flavours)[number];

/** Rules and chains in the output of iptables-save, comments and tables' headings aside. */
export function ruleCount(saved: string): number {
  return saved.split('\n').filter((line) => /^-A |^:\S+ -/.test(line)).length;
}

/** "iptables v1.8.9 (nf_tables)" */
export function flavourOf(version: string): Flavour | undefined {
  if (version.includes('(nf_tables)')) return 'nft';
  return version.includes('iptables v') ? 'legacy' : undefined;
}

export function iptablesFlavourBuiltin(): Builtin {
  return async (context) => {
    const present = flavourOf((await output(context, 'iptables', '--version')) ?? '');
    if (present === undefined) {
      context.log('there is no iptables: nothing to choose');
      return;
    }
    const counts = new Map<Flavour, number>();
    for (const flavour of flavours) {
      const saved = await output(context, `iptables-${flavour}-save`);
      if (saved !== undefined) counts.set(flavour, ruleCount(saved));
    }
    const found = [...counts].map(([flavour, count]) => `${flavour}: ${String(count)} rules`).join(', ');
    const wanted: Flavour = (counts.get('legacy') ?? 0) > (counts.get('nft') ?? 0) ? 'legacy' : 'nft';
    if (wanted === present || !counts.has(wanted)) {
      context.log(`iptables is ${present} (${found})`);
      return;
    }
    for (const name of ['iptables', 'ip6tables']) {
      const { exit, output: said } = await context.run([
        ...['update-alternatives', '--set', name],
        `/usr/sbin/${name}-${wanted}`,
      ]);
      if (!isOk(exit)) throw new Error(`cannot make ${name} the ${wanted} one: ${said.trim()}`);
    }
    context.log(`iptables was ${present} and is ${wanted} now (${found})`);
  };
}

const isOk = (exit: Exit) => exit.kind === 'code' && exit.code === 0;

/** Undefined when there is no such program or it fails: a kernel without that flavour. */
async function output({ run, signal }: BuiltinContext, ...argv: string[]): Promise<string | undefined> {
  try {
    const result = await run(argv);
    return isOk(result.exit) ? result.output : undefined;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
