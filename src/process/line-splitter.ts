/**
 * Bytes of a log to lines. Splits before it decodes, so a character is never cut between two
 * reads; bytes that are no UTF-8 become U+FFFD. Other control characters stay as they are: what
 * shows lines to a terminal has to make them harmless.
 */

/** Longer lines are cut to this many bytes, and say so. */
export const maxLineBytes = 64 * 1024;

const newline = 0x0a;

export interface LineSplitter {
  push(bytes: Buffer): void;
  /** Gives an unterminated last line as a line. */
  flush(): void;
  /** Forgets an unterminated line. */
  reset(): void;
}

export function lineSplitter(onLine: (line: string) => void): LineSplitter {
  let kept: Buffer[] = [];
  let keptBytes = 0;
  let totalBytes = 0;

  const keep = (bytes: Buffer) => {
    totalBytes += bytes.length;
    const room = maxLineBytes - keptBytes;
    if (room <= 0 || bytes.length === 0) return;
    // Copied: the caller reads into the same buffer again.
    const part = Buffer.from(bytes.subarray(0, room));
    kept.push(part);
    keptBytes += part.length;
  };
  const reset = () => {
    kept = [];
    keptBytes = 0;
    totalBytes = 0;
  };
  const end = () => {
    const line = decodeLine(Buffer.concat(kept), totalBytes);
    reset();
    onLine(line);
  };
  return {
    push(bytes) {
      let from = 0;
      for (;;) {
        const at = bytes.indexOf(newline, from);
        if (at < 0) break;
        keep(bytes.subarray(from, at));
        end();
        from = at + 1;
      }
      keep(bytes.subarray(from));
    },
    flush() {
      if (totalBytes > 0) end();
    },
    reset,
  };
}

/** @param totalBytes - length of the line before `bytes` was cut */
export function decodeLine(bytes: Buffer, totalBytes = bytes.length): string {
  const cut = bytes.subarray(0, maxLineBytes);
  const lost = totalBytes - cut.length;
  if (lost > 0) {
    // A character at the cut may be half there.
    const text = cut.toString('utf8').replace(/\ufffd$/, '');
    return `${text}… [${String(lost)} more bytes]`;
  }
  const text = cut.toString('utf8');
  return text.endsWith('\r') ? text.slice(0, -1) : text;
}
