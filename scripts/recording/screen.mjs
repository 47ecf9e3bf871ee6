/**
 * A terminal's screen, as far as k3s-lite's live view uses one: text, colours, moving up, erasing.
 * Lines that leave at the top are forgotten.
 */

/** @returns `write(text)` and `lines()`: rows of runs `{ text, style }`, style being `{ fg, bold, dim }` */
export function createScreen({ columns, rows }) {
  let cells = [[]];
  let [row, column] = [0, 0];
  let style = {};

  const line = () => {
    while (cells.length <= row) cells.push([]);
    return cells[row];
  };
  const lineFeed = () => {
    row += 1;
    line();
    if (row < rows) return;
    cells = cells.slice(1);
    row -= 1;
  };
  const put = (char) => {
    if (column >= columns) {
      column = 0;
      lineFeed();
    }
    const target = line();
    while (target.length < column) target.push({ char: ' ', style: {} });
    target[column] = { char, style };
    column += 1;
  };
  const control = (final, parameters) => {
    const [first = 0] = parameters;
    const count = Math.max(1, first);
    if (final === 'A') row = Math.max(0, row - count);
    else if (final === 'B') row = Math.min(rows - 1, row + count);
    else if (final === 'E') [row, column] = [Math.min(rows - 1, row + count), 0];
    else if (final === 'F') [row, column] = [Math.max(0, row - count), 0];
    else if (final === 'C') column += count;
    else if (final === 'D') column = Math.max(0, column - count);
    else if (final === 'G') column = count - 1;
    else if (final === 'H') [row, column] = [count - 1, Math.max(1, parameters[1] ?? 1) - 1];
    else if (final === 'K') cells[row] = first === 2 ? [] : line().slice(0, column);
    else if (final === 'J') cells = first === 2 ? [[]] : [...cells.slice(0, row), line().slice(0, column)];
    else if (final === 'm') for (const code of parameters.length === 0 ? [0] : parameters) style = restyle(style, code);
  };

  return {
    write(text) {
      // CSI sequences; other escapes (titles, two-letter ones) mean nothing here.
      const parts = text.matchAll(/\x1b\[([?=>]?)([\d;]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b.|[^\x1b]/gu);
      for (const [all, isPrivate, parameters, final] of parts) {
        if (final !== undefined) {
          if (isPrivate === '') control(final, parameters === '' ? [] : parameters.split(';').map(Number));
        } else if (all === '\n') lineFeed();
        else if (all === '\r') column = 0;
        else if (all >= ' ' && !all.startsWith('\x1b')) put(all);
      }
    },
    lines: () => cells.map(runsOf),
  };
}

/** SGR. Source: ECMA-48, 8.3.117. */
function restyle(style, code) {
  if (code === 0) return {};
  if (code === 1) return { ...style, bold: true };
  if (code === 2) return { ...style, dim: true };
  if (code === 22) return { ...style, bold: false, dim: false };
  if (code === 39) return { ...style, fg: undefined };
  if (code >= 30 && code <= 37) return { ...style, fg: code - 30 };
  if (code >= 90 && code <= 97) return { ...style, fg: code - 90 };
  return style;
}

function runsOf(line) {
  const runs = [];
  for (const { char, style } of line) {
    const last = runs.at(-1);
    if (last !== undefined && JSON.stringify(last.style) === JSON.stringify(style)) last.text += char;
    else runs.push({ text: char, style });
  }
  return runs;
}
