/** Keeps the record of one run true while it runs: written at its start, amended, removed at its end. */
import type { RunRecord, RunRecords } from './run-record.ts';

export interface RecordKeeper {
  becameReady(said: { readonly mainPid?: number | undefined }): void;
  /** A task has ended well. */
  finished(): void;
  remove(): void;
}

/** @param notice - told what could not be written: the run goes on, a later k3s-lite will not adopt it */
export function keepRecord(records: RunRecords, first: RunRecord, notice: (text: string) => void): RecordKeeper {
  let record = first;
  const amend = (news: Partial<RunRecord>) => {
    record = { ...record, ...news };
    try {
      records.write(record);
    } catch (error) {
      notice(`cannot amend the run record: ${String(error)}`);
    }
  };
  return {
    becameReady({ mainPid }) {
      if (record.ready === true && record.mainPid === (mainPid ?? record.mainPid)) return;
      amend({ ready: true, ...(mainPid === undefined ? {} : { mainPid }) });
    },
    finished: () => amend({ finished: true }),
    remove: () => records.remove(record.unit, record.run),
  };
}
