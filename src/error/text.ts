/** Text of processes and errors made fit for one place on a terminal. Pure. */

/** Lines of processes must not steer the terminal: escape sequences go, other control characters become U+FFFD. */
export function printable(text: string): string {
  return text
    .replaceAll('\t', '  ')
    .replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\^_])/g, '')
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '\ufffd');
}

/** A text of several lines as one; some libraries put line breaks into their messages. */
export function singleLine(text: string): string {
  return printable(text.trim().replace(/\s*\n\s*/g, ' '));
}

/** At most `width` characters, the last one "…" if something was cut. */
export function shorten(text: string, width: number): string {
  const characters = Array.from(text);
  if (characters.length <= width) return text;
  return width <= 0 ? '' : `${characters.slice(0, width - 1).join('')}…`;
}

/**
 * Breaks a text at spaces so that no line is longer than `width` characters; a longer word stays whole,
 * because a path or an address cut in two cannot be copied.
 */
export function wrapWords(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines;
}
