/** The report of a drill for people. Pure. */
import type { runDrill } from '../../app/drill-failover.ts';
import { formatDurationMs } from '../../kernel/duration.ts';

type Report = Awaited<ReturnType<typeof runDrill>>;

export function drillText(report: Report): string {
  const { server, others, frozen, awayMs, boundMs, reads, writes, leaders, errors, violations } = report;
  const counts = (name: string, { requests, retried, failed, longestGapMs }: Report['reads']) =>
    `  ${name}  ${String(requests)} asked, ${String(retried)} tried twice, ${String(failed)} failed; at most ${formatDurationMs(longestGapMs)} between two answers`;
  const leader = (name: string, before: string | undefined, after: string | undefined) =>
    `  ${name} led by ${before ?? 'nobody'} before, ${after ?? 'nobody'} after`;
  const verdict =
    violations.length === 0
      ? `proven: a client that retries once was never longer than ${formatDurationMs(boundMs)} without an answer`
      : `not proven: ${violations.join('; ')}`;
  return [
    `${server} hung for ${formatDurationMs(awayMs)} (${frozen.join(', ')}); ${others.join(' and ')} went on`,
    counts('reads ', reads),
    counts('writes', writes),
    leader('kube-controller-manager', leaders.before.controllerManager, leaders.after.controllerManager),
    leader('kube-scheduler', leaders.before.scheduler, leaders.after.scheduler),
    ...errors.map(({ error, count }) => `  ${String(count)} times ${error}`),
    verdict,
  ].join('\n');
}
