// The few statistics that the benches need. Medians, because a round that another process disturbed must not count.

/**
 * The middle value, or the mean of the two middle ones.
 *
 * @throws RangeError if there are no values.
 */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/**
 * The value that `fraction` (0 to 1) of the values do not exceed, interpolated between neighbours.
 *
 * @throws RangeError if there are no values.
 */
export function percentile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const position = fraction * (sorted.length - 1);
  const lower = sorted[Math.floor(position)];
  const upper = sorted[Math.ceil(position)];
  if (lower === undefined || upper === undefined) throw new RangeError("no values to take a percentile of");
  return lower + (upper - lower) * (position - Math.floor(position));
}

/** How far the middle half of the values lies apart, as a part of the median: what "noise" means in the tables. */
export function spread(values: readonly number[]): number {
  return (percentile(values, 0.75) - percentile(values, 0.25)) / median(values);
}

/**
 * The median of each number that the rounds have in common, key by key.
 *
 * @throws RangeError if there are no rounds.
 */
export function medians<Key extends string>(rounds: readonly Readonly<Record<Key, number>>[]): Record<Key, number> {
  const first = rounds[0];
  if (first === undefined) throw new RangeError("no rounds to take medians of");
  const result: Record<Key, number> = { ...first };
  for (const key of Object.keys(first) as Key[]) result[key] = median(rounds.map((round) => round[key]));
  return result;
}
