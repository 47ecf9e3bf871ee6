export interface Node {
  readonly name: string;
  readonly needs: readonly string[];
  readonly workMs?: number;
}
export interface Seen {
  readonly start: number;
  readonly ready: number;
}
export function chain(count: number): Node[];
export function wide(count: number): Node[];
export function diamonds(count: number, width: number): Node[];
export function layered(shape: { layers: number; width: number; minMs: number; maxMs: number; seed?: number }): Node[];
export function writeUnits(nodes: readonly Node[], folder: string, run: (node: Node) => string[]): void;
export function shellScript(nodes: readonly Node[], run: (node: Node) => string[]): string;
export function quoted(argv: readonly string[]): string;
export function criticalPath(
  nodes: readonly Node[],
  seen: ReadonlyMap<string, Seen>,
): { path: string[]; selfMs: number; totalMs: number };
export function readStamps(text: string, t0: bigint): Map<string, Partial<Seen>>;
