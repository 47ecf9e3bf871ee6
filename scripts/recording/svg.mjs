/** Frames of a terminal as one animated SVG; without animation its `still` frame is seen. */

const size = 13;
const lineHeight = 18;
/** Width of a character of most monospace fonts, in parts of the size; `textLength` corrects the others. */
const advance = 0.6;
const padding = 16;
/** ANSI colours 0 to 7 on a dark ground. */
const colours = ['#6e7681', '#ff7b72', '#56d364', '#e3b341', '#79c0ff', '#d2a8ff', '#76e3ea', '#e6edf3'];

/**
 * @param frames `{ atMs, lines }`, lines as the screen gives them
 * @param options.totalMs length of one round
 * @param options.still index of the frame that stands for all
 */
export function toSvg(frames, { columns, rows, totalMs, still, label }) {
  const width = Math.ceil(columns * size * advance + 2 * padding);
  const height = rows * lineHeight + 2 * padding;
  const percent = (ms) => `${((ms / totalMs) * 100).toFixed(2)}%`;
  const rules = frames.map(({ atMs }, index) => {
    const untilMs = frames[index + 1]?.atMs;
    const hide = untilMs === undefined ? '' : `${percent(untilMs)}{visibility:hidden}`;
    const first = index === 0 ? '' : '0%{visibility:hidden}';
    return `@keyframes k${index}{${first}${percent(atMs)}{visibility:visible}${hide}}#f${index}{animation-name:k${index}}`;
  });
  const groups = frames.map(
    ({ lines }, index) =>
      `<g id="f${index}"${index === still ? ' class="still"' : ''}>${lines.map(textOf).join('')}</g>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" xml:space="preserve" role="img" aria-label="${escape(label)}">
<style>
text{font:${size}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#c9d1d9}
.b{font-weight:600}.d{fill-opacity:.62}
${colours.map((colour, index) => `.c${index}{fill:${colour}}`).join('')}
g{visibility:hidden;animation:0s step-end infinite;animation-duration:${totalMs}ms}g.still{visibility:visible}
@media (prefers-reduced-motion){g{animation:none}}
${rules.join('\n')}
</style>
<rect width="100%" height="100%" rx="8" fill="#0d1117" stroke="#30363d"/>
${groups.join('\n')}
</svg>
`;
}

function textOf(runs, row) {
  const y = padding + (row + 0.75) * lineHeight;
  let column = 0;
  return runs
    .map(({ text, style }) => {
      const x = padding + column * size * advance;
      column += [...text].length;
      const trimmed = text.trimEnd();
      if (trimmed === '') return '';
      const start = trimmed.length - trimmed.trimStart().length;
      const word = trimmed.trimStart();
      const names = [
        ...(style.fg === undefined ? [] : [`c${style.fg}`]),
        ...(style.bold === true ? ['b'] : []),
        ...(style.dim === true ? ['d'] : []),
      ];
      const place = `x="${round(x + start * size * advance)}" y="${round(y)}"`;
      const exact = `textLength="${round([...word].length * size * advance)}"`;
      return `<text ${place} ${exact}${names.length === 0 ? '' : ` class="${names.join(' ')}"`}>${escape(word)}</text>`;
    })
    .join('');
}

const round = (value) => Number(value.toFixed(1));
const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
