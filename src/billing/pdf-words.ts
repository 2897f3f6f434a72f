/** The words of the printed invoice in both languages, and how amounts, dates and units are written in each. */
import { minorDigits } from '../core/money.ts'
import type { Invoice } from './model.ts'

export type Locale = 'en' | 'ja'

export const WORDS = {
  en: {
    invoice: 'Invoice',
    creditNote: 'Credit note',
    draft: 'DRAFT',
    void: 'VOID',
    to: '',
    number: 'Number',
    issuedOn: 'Date of issue',
    period: 'Period of service',
    dueOn: 'Due date',
    corrects: 'Corrects invoice',
    registration: 'Registration number',
    total: 'Total including tax',
    credit: 'Total credited including tax',
    description: 'Description',
    quantity: 'Quantity',
    price: 'Unit price',
    amount: 'Amount',
    contract: 'Contract',
    subtotal: 'Subtotal',
    tax: 'Consumption tax',
    taxBase: (percent: string) => `Subject to ${percent} %`,
    exempt: 'Not subject to tax',
    reduced: '※ marks goods and services at the reduced rate.',
    breakdown: 'Breakdown by contract',
    services: (count: number) => `${count.toLocaleString('en')} ${count === 1 ? 'service' : 'services'}`,
    more: (count: number) => `and ${count.toLocaleString('en')} more lines, shown in the portal`,
    pay: (date: string) => `Please transfer the total by ${date}.`,
    page: (page: number, of: number) => `Page ${page} of ${of}`,
    perService: 'service',
    unitHour: 'h',
    unitDay: 'days',
    unitMonth: 'months',
  },
  ja: {
    invoice: '請求書',
    creditNote: '適格返還請求書',
    draft: '下書き',
    void: '取消済',
    to: '御中',
    number: '請求書番号',
    issuedOn: '発行日',
    period: 'ご利用期間',
    dueOn: 'お支払期限',
    corrects: '対象請求書',
    registration: '登録番号',
    total: 'ご請求金額(税込)',
    credit: 'ご返金額(税込)',
    description: '品目',
    quantity: '数量',
    price: '単価',
    amount: '金額',
    contract: '契約番号',
    subtotal: '小計',
    tax: '消費税',
    taxBase: (percent: string) => `${percent}%対象`,
    exempt: '対象外',
    reduced: '※は軽減税率対象です。',
    breakdown: '契約別明細',
    services: (count: number) => `${count.toLocaleString('ja')}サービス`,
    more: (count: number) => `ほか${count.toLocaleString('ja')}行はポータルでご覧いただけます`,
    pay: (date: string) => `${date}までにお振り込みくださいますようお願いいたします。`,
    page: (page: number, of: number) => `${page} / ${of}`,
    perService: '件',
    unitHour: '時間',
    unitDay: '日',
    unitMonth: '月',
  },
} as const

/** Minor units as the language writes money of the currency. */
export function moneyText(amount: bigint, currency: string, locale: Locale): string {
  const digits = minorDigits(currency)
  const magnitude = String(amount < 0n ? -amount : amount).padStart(digits + 1, '0')
  const decimal = digits === 0 ? magnitude : `${magnitude.slice(0, -digits)}.${magnitude.slice(-digits)}`
  const format = new Intl.NumberFormat(locale, { style: 'currency', currency, currencyDisplay: 'narrowSymbol' })
  return `${amount < 0n ? '−' : ''}${format.format(decimal as unknown as number).replace('\uffe5', '\u00a5')}`
}

/** A decimal with its thousands parted. */
export function decimalText(decimal: string): string {
  const [whole = '0', fraction] = decimal.split('.')
  const plain = fraction?.replace(/0+$/, '')
  return `${whole.replace(/\B(?=(\d{3})+$)/g, ',')}${plain ? `.${plain}` : ''}`
}

/** `2026-11-02` as the language writes it. */
export function dateText(date: string, locale: Locale): string {
  const [year, month, day] = date.split('-').map(Number) as [number, number, number]
  if (locale === 'ja') return `${year}年${month}月${day}日`
  return new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeZone: 'UTC' }).format(Date.UTC(year, month - 1, day))
}

/** `2026-10` as its first and last day. */
export function periodText({ period }: Pick<Invoice, 'period'>, locale: Locale): string {
  const [year, month] = period.split('-').map(Number) as [number, number]
  const last = new Date(Date.UTC(year, month, 0)).getUTCDate()
  return locale === 'ja' ? `${year}年${month}月1日〜${last}日` : `1–${dateText(`${period}-${last}`, locale)}`
}

/** `kVA-hour` as `kVA · h` or `kVA・時間`. */
export function unitText(unit: string | null, locale: Locale): string {
  const words = WORDS[locale]
  if (unit === null || unit === 'service') return words.perService
  if (unit === 'month') return words.unitMonth
  const match = /^(.*)-(hour|day|month)$/.exec(unit)
  if (!match) return unit
  const time = { hour: words.unitHour, day: words.unitDay, month: words.unitMonth }[
    match[2] as 'hour' | 'day' | 'month'
  ]
  return locale === 'ja' ? `${match[1]}・${time}` : `${match[1]} · ${time}`
}
