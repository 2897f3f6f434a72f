/** Numbers, money, dates and units as the reader's locale has them. */
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'

export interface MoneyJson {
  amount: string
  currency: string
}

const digits = (currency: string): number =>
  new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2

/** Minor units to the major unit's number, for charts and Intl. */
export const majorUnits = (money: MoneyJson): number => Number(money.amount) / 10 ** digits(money.currency)

export interface Format {
  locale: string
  number: (value: number, decimals?: number) => string
  compact: (value: number) => string
  percent: (fraction: number, decimals?: number) => string
  money: (money: MoneyJson | null | undefined) => string
  moneyCompact: (money: MoneyJson) => string
  price: (decimal: string, currency: string) => string
  date: (iso: string | null | undefined) => string
  dateTime: (iso: string | null | undefined) => string
  month: (period: string) => string
  relative: (iso: string) => string
  unit: (unit: string) => string
  /** `U-hour` and `month` as invoices have them, in words. */
  unitTime: (unit: string) => string
}

function formatFor(
  locale: string,
  timeZone: string | undefined,
  words: (key: string, options?: Record<string, string>) => string,
): Format {
  const unitName = (unit: string) => words(`units.${unit}`, { defaultValue: unit })
  const timeName = (time: string) => words(`invoices.time.${time}`, { defaultValue: time })
  const at = (iso: string) => new Date(iso)
  const zone = timeZone ? { timeZone } : {}
  const dates = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', ...zone })
  const dateTimes = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', ...zone })
  const months = new Intl.DateTimeFormat(locale, { year: 'numeric', month: 'long', timeZone: 'UTC' })
  const relatives = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' })
  const moneyFormat = (currency: string, options: Intl.NumberFormatOptions = {}) =>
    new Intl.NumberFormat(locale, { style: 'currency', currency, currencyDisplay: 'narrowSymbol', ...options })
  return {
    locale,
    number: (value, decimals = 3) => new Intl.NumberFormat(locale, { maximumFractionDigits: decimals }).format(value),
    compact: (value) => new Intl.NumberFormat(locale, { notation: 'compact', maximumFractionDigits: 1 }).format(value),
    percent: (fraction, decimals = 1) =>
      new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: decimals }).format(fraction),
    money: (money) => (money ? moneyFormat(money.currency).format(majorUnits(money)) : '–'),
    moneyCompact: (money) =>
      moneyFormat(money.currency, { notation: 'compact', maximumFractionDigits: 1 }).format(majorUnits(money)),
    price: (decimal, currency) => moneyFormat(currency, { maximumFractionDigits: 6 }).format(Number(decimal)),
    date: (iso) => (iso ? dates.format(at(iso)) : '–'),
    dateTime: (iso) => (iso ? dateTimes.format(at(iso)) : '–'),
    month: (period) => months.format(new Date(`${period}-01T00:00:00Z`)),
    relative: (iso) => {
      const seconds = (at(iso).getTime() - Date.now()) / 1_000
      const steps: [Intl.RelativeTimeFormatUnit, number][] = [
        ['year', 31_557_600],
        ['month', 2_629_800],
        ['day', 86_400],
        ['hour', 3_600],
        ['minute', 60],
      ]
      for (const [unit, size] of steps)
        if (Math.abs(seconds) >= size) return relatives.format(Math.round(seconds / size), unit)
      return relatives.format(Math.round(seconds), 'second')
    },
    unit: unitName,
    unitTime: (unit) => {
      const cut = unit.lastIndexOf('-')
      if (cut < 0) return timeName(unit)
      return words('invoices.perTime', { unit: unitName(unit.slice(0, cut)), time: timeName(unit.slice(cut + 1)) })
    },
  }
}

/** The reader's own flavour of the language: day before month in Britain, for example. */
const readersLocale = (language: string): string =>
  navigator.languages.find((locale) => locale.split('-')[0] === language) ?? language

/** The reader's formats; dates are shown in the operator's zone where a screen passes one. */
export function useFormat(timeZone?: string): Format {
  const { i18n, t } = useTranslation()
  return useMemo(
    () => formatFor(readersLocale(i18n.language), timeZone, (key, options) => t(key, options ?? {})),
    [i18n.language, timeZone, t],
  )
}
