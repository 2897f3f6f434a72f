/** Durations and amounts of bytes as people write them in a configuration: `90s`, `5m`, `1h30m`, `512 MB`, `2 GiB`. */

const SECONDS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 }
const BYTES: Record<string, number> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
}

export const DURATION_PATTERN = '^\\s*(\\d+(\\.\\d+)?\\s*(ms|s|m|h|d|w)\\s*)+$'
export const BYTES_PATTERN = '^\\s*\\d+(\\.\\d+)?\\s*([bB]|[kKmMgGtT]i?[bB])\\s*$'

/** `1h30m` → 5400. A bare number is seconds. */
export function seconds(duration: string | number): number {
  if (typeof duration === 'number') return duration
  let sum = 0
  for (const [, amount, unit] of duration.matchAll(/(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)/g))
    sum += Number(amount) * SECONDS[unit!]!
  return sum
}

/** `512 MB` → 512,000,000; `512 MiB` → 536,870,912. A bare number is bytes. */
export function bytes(amount: string | number): number {
  if (typeof amount === 'number') return amount
  const [, number, unit] = /([\d.]+)\s*([a-z]+)/i.exec(amount)!
  return Math.floor(Number(number) * BYTES[unit!.toLowerCase()]!)
}
