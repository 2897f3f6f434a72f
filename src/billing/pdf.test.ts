import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InvoiceInFull, InvoiceLine } from './model.ts'
import { invoicePdf, summed } from './pdf.ts'
import { dateText, decimalText, moneyText, periodText, unitText } from './pdf-words.ts'

const line = (number: number, fields: Partial<InvoiceLine> = {}): InvoiceLine => ({
  line: number,
  contractId: `c${Math.floor(number / 3)}`,
  contractNumber: `C${String(Math.floor(number / 3)).padStart(8, '0')}`,
  family: 'colocation',
  charge: 'unit',
  description: 'Colocation on demand: Rack units',
  descriptionJa: 'オンデマンド・コロケーション ラックユニット',
  measure: '7200000000',
  divisor: '3600000000',
  unit: 'U-hour',
  price: '14.500000',
  amount: 29n,
  taxCode: 'standard',
  taxPercent: '10.000',
  services: 2,
  ...fields,
})

const invoice = (lines: InvoiceLine[], fields: Partial<InvoiceInFull> = {}): InvoiceInFull => {
  const subtotal = lines.reduce((sum, { amount }) => sum + amount, 0n)
  return {
    id: 'i',
    kind: 'invoice',
    number: 'I00000001',
    partyId: 'p',
    partyName: 'Umi Video',
    sellerId: 's',
    sellerName: 'Izumi',
    correctsId: null,
    correctsNumber: null,
    period: '2026-10',
    periodFrom: 0,
    periodTo: 0,
    currency: 'JPY',
    subtotal,
    tax: subtotal / 10n,
    total: subtotal + subtotal / 10n,
    state: 'issued',
    issuedOn: '2026-11-02',
    dueOn: '2026-11-30',
    version: 1,
    createdAt: 0,
    lines,
    taxes: [{ code: 'standard', percent: '10.000', base: subtotal, tax: subtotal / 10n }],
    seller: { name: 'Izumi', address: 'Tokyo', email: 'billing@izumi.example', taxRegistration: 'T7000012050002' },
    buyer: { name: '海ビデオ株式会社', address: null, email: null, taxRegistration: null },
    ...fields,
  }
}

const pages = (pdf: Buffer) => pdf.toString('latin1').match(/\/Type \/Page\n/g)?.length ?? 0

for (const locale of ['en', 'ja'] as const) {
  test(`an invoice is one small page (${locale})`, async () => {
    const pdf = await invoicePdf(invoice([line(1), line(2)]), locale)
    assert.equal(pdf.subarray(0, 5).toString(), '%PDF-')
    assert.equal(pages(pdf), 1)
    assert.ok(pdf.length < 60_000, `${pdf.length} bytes`)
  })

  test(`many lines are summed in front and broken down behind (${locale})`, async () => {
    const pdf = await invoicePdf(invoice(Array.from({ length: 300 }, (_, index) => line(index))), locale)
    assert.ok(pages(pdf) > 3)
  })

  test(`credit notes and drafts are documents too (${locale})`, async () => {
    await invoicePdf(
      invoice([line(1, { amount: -29n, measure: '-7200000000' })], {
        kind: 'credit-note',
        correctsNumber: 'I00000001',
      }),
      locale,
    )
    await invoicePdf(invoice([], { state: 'draft', number: null, issuedOn: null, dueOn: null, taxes: [] }), locale)
  })
}

test('summed lines keep every amount', () => {
  const lines = Array.from({ length: 50 }, (_, index) => line(index, { price: index % 2 ? '14.5' : '11.2' }))
  const sums = summed(lines)
  assert.equal(sums.length, 2)
  assert.equal(
    sums.reduce((sum, { amount }) => sum + amount, 0n),
    50n * 29n,
  )
  assert.equal(lines[0]!.measure, '7200000000')
})

test('amounts, dates and units are written as each language does', () => {
  assert.deepEqual(
    [
      moneyText(1_234_567n, 'JPY', 'ja'),
      moneyText(-1_234_567n, 'JPY', 'en'),
      moneyText(5n, 'USD', 'en'),
      moneyText(10n ** 18n, 'JPY', 'en'),
    ],
    ['¥1,234,567', '−¥1,234,567', '$0.05', '¥1,000,000,000,000,000,000'],
  )
  assert.deepEqual([decimalText('1234567.500'), decimalText('-1234'), decimalText('0')], ['1,234,567.5', '-1,234', '0'])
  assert.deepEqual([dateText('2026-11-02', 'en'), dateText('2026-11-02', 'ja')], ['2 November 2026', '2026年11月2日'])
  assert.deepEqual(
    [periodText({ period: '2026-02' }, 'en'), periodText({ period: '2026-02' }, 'ja')],
    ['1–28 February 2026', '2026年2月1日〜28日'],
  )
  assert.deepEqual(
    [unitText('kVA-hour', 'ja'), unitText('rack-unit-month', 'en'), unitText(null, 'ja')],
    ['kVA・時間', 'rack-unit · months', '件'],
  )
})
