/** Rows below a dim header, each column as wide as its widest cell. Pure. */

export interface PaintedRow {
  readonly cells: readonly string[];
  /** For one cell of it. */
  paint(cell: string): string;
}

export interface PaintedTable {
  readonly header: readonly string[];
  readonly rows: readonly PaintedRow[];
  /** Which column has the colour of its row. */
  readonly painted: number;
  dim(line: string): string;
}

/** One string per line. */
export function paintedTable({ header, rows, painted, dim }: PaintedTable): readonly string[] {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map(({ cells }) => (cells[column] ?? '').length)),
  );
  const pad = (cells: readonly string[]) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0));
  const line = (cells: readonly string[]) => cells.join('  ').trimEnd();
  return [
    dim(line(pad(header))),
    ...rows.map(({ cells, paint }) =>
      line(pad(cells).map((cell, column) => (column === painted ? paint(cell) : cell))),
    ),
  ];
}
