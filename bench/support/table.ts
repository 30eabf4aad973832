// Tables of plain text, and numbers that fit into them.

export type Cell = string | number | undefined;

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => Cell;
}

/** Prints the rows under the columns' titles: the first column to the left, the others, being numbers, to the right. */
export function printTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): void {
  const titles = columns.map(({ title }) => title);
  const lines = rows.map((row) => columns.map(({ value }) => text(value(row))));
  const widths = titles.map((title, index) =>
    Math.max(title.length, ...lines.map((cells) => cells[index]?.length ?? 0)),
  );
  const rule = widths.map((width) => "─".repeat(width));
  for (const cells of [titles, rule, ...lines]) console.log(`  ${align(cells, widths)}`);
}

/** 12345.6 as "12,346", 3.14159 as "3.14", 0 as "0": three significant digits or all whole ones. */
export function formatNumber(value: number): string {
  if (value === 0) return "0";
  const magnitude = Math.abs(value);
  const digits = magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** 0.934 as "0.93×", and nothing when there is nothing to compare with. */
export function formatRatio(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? "" : `${value.toFixed(2)}×`;
}

/** 65536 as "64 KiB", 64 as "64 B". */
export function formatBytes(bytes: number): string {
  if (bytes >= 1024 * 1024) return `${formatWhole(bytes / 1024 / 1024)} MiB`;
  return bytes >= 1024 ? `${formatWhole(bytes / 1024)} KiB` : `${formatWhole(bytes)} B`;
}

function formatWhole(value: number): string {
  return Number.isInteger(value) ? String(value) : formatNumber(value);
}

function text(cell: Cell): string {
  if (cell === undefined) return "";
  return typeof cell === "number" ? formatNumber(cell) : cell;
}

function align(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, index) => (index === 0 ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0)))
    .join("  ")
    .trimEnd();
}
