/** What cells of generated tables share: code, and quantities with their units. */

export const code = (text: string) => `\`${text}\``;

export function quantity(value: number | string, unit: string): string {
  if (typeof value === "string") return code(value);
  if (unit === "seconds") return `${value} s`;
  if (unit !== "bytes") return String(value);
  const [power, prefix] = value >= 1024 ** 3 ? [3, "GiB"] : value >= 1024 ** 2 ? [2, "MiB"] : [1, "KiB"];
  return `${value / 1024 ** (power as number)} ${prefix}`;
}
