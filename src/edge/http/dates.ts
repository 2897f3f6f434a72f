/**
 * HTTP dates (RFC 9110 §5.6.7): the three formats a recipient must accept and nothing that merely looks like one. Letters
 * are matched without regard to case, because §5.6.7 lets a recipient be lenient there and origins differ; all else is exact,
 * so that a date that cannot be trusted reads as invalid, never as fresh.
 */
import { memoized } from './memo.ts'

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const SHORT_DAY = '(?:mon|tue|wed|thu|fri|sat|sun)'
const LONG_DAY = '(?:mon|tues|wednes|thurs|fri|satur|sun)day'
const MONTH = `(${MONTHS.join('|')})`
const TIME = '(\\d{2}):(\\d{2}):(\\d{2})'
const IMF = new RegExp(`^${SHORT_DAY}, (\\d{2}) ${MONTH} (\\d{4}) ${TIME} gmt$`, 'i')
const RFC850 = new RegExp(`^${LONG_DAY}, (\\d{2})-${MONTH}-(\\d{2}) ${TIME} gmt$`, 'i')
const ASCTIME = new RegExp(`^${SHORT_DAY} ${MONTH} (\\d{2}| \\d) ${TIME} (\\d{4})$`, 'i')

const parseImf = memoized((text: string): number | null => {
  const match = IMF.exec(text)
  return match && instant(Number(match[3]), match[2]!, match[1]!, match[4]!, match[5]!, match[6]!)
})

/** Epoch milliseconds, or null when the text is no HTTP date. `now` settles the century of two-digit years. */
export function parseHttpDate(text: string, now: number): number | null {
  const usual = parseImf(text)
  if (usual !== null) return usual
  let match = RFC850.exec(text)
  if (match) {
    // "more than 50 years in the future" reads as the most recent past year with those digits (§5.6.7).
    const thisYear = new Date(now).getUTCFullYear()
    let year = thisYear - (thisYear % 100) + Number(match[3])
    if (year > thisYear + 50) year -= 100
    return instant(year, match[2]!, match[1]!, match[4]!, match[5]!, match[6]!)
  }
  match = ASCTIME.exec(text)
  if (match) return instant(Number(match[6]), match[1]!, match[2]!.trim(), match[3]!, match[4]!, match[5]!)
  return null
}

function instant(year: number, month: string, day: string, hour: string, minute: string, second: string) {
  const [d, h, m, s] = [Number(day), Number(hour), Number(minute), Number(second)]
  if (d < 1 || d > 31 || h > 23 || m > 59 || s > 60) return null
  const at = Date.UTC(year, MONTHS.indexOf(month.toLowerCase()), d, h, m, s)
  // 31 Feb would roll over into March.
  return new Date(at).getUTCDate() === d || s === 60 ? at : null
}

let lastSecond = -1
let lastText = ''
/** IMF-fixdate; remembered for the second, since most answers of one second carry the same. */
export function formatHttpDate(at: number): string {
  const second = Math.floor(at / 1000)
  if (second !== lastSecond) {
    lastText = new Date(second * 1000).toUTCString()
    lastSecond = second
  }
  return lastText
}
