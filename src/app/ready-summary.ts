/** The one summary at ready: node, kubeconfig, total time, critical chain, and what a plain user gains as root. */
import type { LocalExecutor } from '../executor/local-executor.ts';
import { criticalChain, startRecordOf } from '../report/start-record.ts';
import { emptyModel, fold } from '../report/model.ts';
import { renderReadySummary } from '../report/summary.ts';
import { userKubeconfig } from './cluster-role.ts';
import { commandName } from './command-name.ts';
import type { Prepared } from './prepare.ts';

export interface ReadySummaryOptions {
  readonly executor: LocalExecutor;
  readonly prepared: Prepared;
  readonly elapsedMs: number;
  readonly colour: boolean;
  readonly width: number;
}

/** Folded from the events that the stream still has: at a first ready that is all of them. */
export function readySummary({ executor, prepared, elapsedMs, colour, width }: ReadySummaryOptions): string {
  const { settings, loaded } = prepared;
  const model = emptyModel();
  const history = executor.events.history();
  for (const envelope of history) fold(model, envelope);
  const chain = criticalChain(startRecordOf(model, history.at(-1)?.monotonicMs ?? 0));
  const snapshots = executor.snapshots();
  const kubeconfig = userKubeconfig(executor.graph, settings);
  const leavesAgentOut = [...loaded.disabled.values()].includes('agent');
  return renderReadySummary(
    {
      totalMs: elapsedMs,
      units: snapshots.filter(({ desired }) => desired === 'up').length,
      adopted: [...model.units.values()].filter(({ adopted }) => adopted).length,
      nodeName: executor.graph.has('node-ready') ? settings.nodeName : undefined,
      kubeconfig,
      chain: chain.map(({ unit, selfMs }) => ({ unit, selfMs })),
      degraded: snapshots
        .filter(({ degraded }) => degraded.length > 0)
        .map(({ unit, degraded }) => ({ unit, without: degraded.map((each) => each.unit) })),
      notes: [
        ...(leavesAgentOut ? [`control plane only: no containers run here; a full node ${needsForNode()}`] : []),
        ...(kubeconfig === undefined
          ? []
          : [
              `try \`${commandName(process.argv[1] ?? '', process.cwd())} kubectl --data-dir ${prepared.configuration.paths.dataDir} get all -A\``,
            ]),
      ],
    },
    { colour, width },
  );
}

const needsForNode = () => (process.getuid?.() === 0 ? 'is what starts without --disable-agent' : 'needs root');
