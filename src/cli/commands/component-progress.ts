/** Progress of a build on stderr: one line that is rewritten on a terminal, a line now and then elsewhere. */
import type { Progress } from '../../component/build.ts';
import { formatDurationMs } from '../../kernel/duration.ts';
import type { Io } from '../command.ts';

/** Without a terminal a line this often shows that the build lives and does not fill a log. */
const plainEveryMs = 15_000;

export interface ProgressPrinter extends Disposable {
  readonly show: (progress: Progress) => void;
}

export interface WholeBuild {
  readonly count: number;
  /** The estimate for all of it, with nothing cached. */
  readonly totalMs: number;
}

export function progressPrinter(io: Io, { count, totalMs }: WholeBuild): ProgressPrinter {
  if (count > 0) {
    io.err(
      `building ${String(count)} component${count === 1 ? '' : 's'}: about ${formatDurationMs(totalMs)} when nothing is cached\n`,
    );
  }
  let lastComponent = '';
  let lastMs = 0;
  let open = false;
  return {
    show(progress) {
      const { component, step, elapsedMs } = progress;
      if (io.errIsTty) {
        // Erase in line (ECMA-48 EL), so that a shorter text leaves nothing of a longer one.
        io.err(`\r\u001b[K${describe(progress).slice(0, io.columns - 1)}`);
        open = true;
        return;
      }
      const isNews = component !== lastComponent || step === 'built' || step.startsWith('waiting');
      if (!isNews && elapsedMs - lastMs < plainEveryMs) return;
      lastComponent = component;
      lastMs = elapsedMs;
      io.err(`${describe(progress)}\n`);
    },
    [Symbol.dispose]() {
      if (open) io.err('\r\u001b[K');
      open = false;
    },
  };
}

function describe({ component, step, elapsedMs, estimateMs }: Progress): string {
  const time =
    estimateMs === undefined
      ? formatDurationMs(elapsedMs)
      : `${formatDurationMs(elapsedMs)} of about ${formatDurationMs(estimateMs)}`;
  return `${component}: ${step} (${time})`;
}
