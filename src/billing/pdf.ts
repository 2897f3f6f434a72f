/**
 * The printed invoice: what Japan's qualified-invoice system asks for (issuer and registration number, date, what was
 * supplied with the reduced rate marked, totals and tax per rate, recipient), on A4. The first page sums the lines over
 * all contracts; when there are many, a breakdown by contract follows. Fonts are embedded as subsets, so a page of
 * Japanese stays small.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import PDFDocument from 'pdfkit'
import { type InvoiceInFull, type InvoiceLine, quantityText } from './model.ts'
import { dateText, decimalText, type Locale, moneyText, periodText, unitText, WORDS } from './pdf-words.ts'

const require = createRequire(import.meta.url)
const font = (name: string) => readFileSync(require.resolve(`@expo-google-fonts/noto-sans-jp/${name}.ttf`))
let fonts: { regular: Buffer; bold: Buffer } | null = null

const PAGE = { width: 595.28, height: 841.89 }
const MARGIN = 48
const RIGHT = PAGE.width - MARGIN
const WIDTH = RIGHT - MARGIN
const BOTTOM = PAGE.height - 64
const INK = '#1b2430'
const QUIET = '#5b6675'
const RULE = '#d5dae1'
const TINT = '#f2f5f8'
const ACCENT = '#0b6e8f'
/** Lines of one contract shown on the first page itself; more are summed there and broken down behind. */
const FEW_LINES = 14
/** Lines of the breakdown; what is beyond is read in the portal. */
const MAX_BREAKDOWN = 2_000

type Doc = InstanceType<typeof PDFDocument>

/** Columns of the table of lines: where they begin, how wide, which way they are set. */
interface Column {
  x: number
  width: number
  align: 'left' | 'right'
}
const COLUMNS: Record<'description' | 'quantity' | 'price' | 'amount', Column> = {
  description: { x: MARGIN, width: 236, align: 'left' },
  quantity: { x: MARGIN + 240, width: 106, align: 'right' },
  price: { x: MARGIN + 350, width: 64, align: 'right' },
  amount: { x: MARGIN + 418, width: WIDTH - 418, align: 'right' },
}

/** An invoice or credit note as a PDF document. */
export async function invoicePdf(invoice: InvoiceInFull, locale: Locale): Promise<Buffer> {
  fonts ??= { regular: font('400Regular/NotoSansJP_400Regular'), bold: font('700Bold/NotoSansJP_700Bold') }
  const words = WORDS[locale]
  const title = invoice.kind === 'credit-note' ? words.creditNote : words.invoice
  const doc = new PDFDocument({
    size: 'A4',
    margin: 0,
    bufferPages: true,
    lang: locale,
    info: { Title: `${title} ${invoice.number ?? ''}`.trim(), Author: invoice.seller.name, Creator: 'Izumi' },
  })
  doc.registerFont('regular', fonts.regular)
  doc.registerFont('bold', fonts.bold)
  const chunks: Buffer[] = []
  doc.on('data', (chunk: Buffer) => chunks.push(chunk))
  const ended = new Promise<void>((resolve) => doc.on('end', resolve))

  const page = new Page(doc, invoice, locale)
  page.head(title)
  const contracts = new Set(invoice.lines.map(({ contractId }) => contractId))
  const isShort = invoice.lines.length <= FEW_LINES
  page.lines(isShort ? invoice.lines : summed(invoice.lines), isShort && contracts.size > 1)
  page.totals()
  if (!isShort) page.breakdown()
  page.numbers()
  doc.end()
  await ended
  return Buffer.concat(chunks)
}

/** Lines of the same charge at the same price, over all contracts. Their amounts were rounded already and are only added. */
export function summed(lines: readonly InvoiceLine[]): InvoiceLine[] {
  const byCharge = new Map<string, InvoiceLine>()
  for (const line of lines) {
    const key = [line.description, line.unit, line.price, line.divisor, line.taxCode].join('\n')
    const known = byCharge.get(key)
    if (known) {
      known.measure = String(BigInt(known.measure) + BigInt(line.measure))
      known.amount += line.amount
      known.services += line.services
    } else byCharge.set(key, { ...line, contractNumber: null })
  }
  return [...byCharge.values()]
}

class Page {
  readonly doc: Doc
  readonly invoice: InvoiceInFull
  readonly locale: Locale
  #y = MARGIN

  constructor(doc: Doc, invoice: InvoiceInFull, locale: Locale) {
    this.doc = doc
    this.invoice = invoice
    this.locale = locale
  }

  get #words() {
    return WORDS[this.locale]
  }

  #text(
    text: string,
    x: number,
    y: number,
    options: {
      width: number
      size?: number
      bold?: boolean
      color?: string
      align?: 'left' | 'right' | 'center'
      oneLine?: boolean
    },
  ): number {
    const { width, size = 9, bold = false, color = INK, align = 'left', oneLine = false } = options
    this.doc
      .font(bold ? 'bold' : 'regular')
      .fontSize(size)
      .fillColor(color)
    const set = { width, align, lineGap: -size * 0.12, ...(oneLine ? { height: size * 1.5, ellipsis: true } : {}) }
    const height = oneLine ? size * 1.45 : this.doc.heightOfString(text, set)
    this.doc.text(text, x, y, set)
    return height
  }

  #rule(y: number, color = RULE, weight = 0.6, from = MARGIN): void {
    this.doc.moveTo(from, y).lineTo(RIGHT, y).lineWidth(weight).strokeColor(color).stroke()
  }

  /** Title, parties, dates and the total in one glance. */
  head(title: string): void {
    const { invoice, locale } = this
    const words = this.#words
    this.doc.rect(0, 0, PAGE.width, 6).fill(ACCENT)
    this.#text(title, MARGIN, 44, { width: 300, size: 24, bold: true })
    if (invoice.state !== 'issued')
      this.#text(invoice.state === 'draft' ? words.draft : words.void, MARGIN, 78, {
        width: 300,
        size: 11,
        bold: true,
        color: '#b3261e',
      })

    const sellerX = MARGIN + 300
    const sellerWidth = WIDTH - 300
    let y = 50
    y += this.#text(invoice.seller.name, sellerX, y, { width: sellerWidth, size: 11, bold: true, align: 'right' }) + 3
    for (const line of [invoice.seller.address, invoice.seller.email])
      if (line) y += this.#text(line, sellerX, y, { width: sellerWidth, color: QUIET, align: 'right' }) + 1
    if (invoice.seller.taxRegistration)
      y += this.#text(`${words.registration} ${invoice.seller.taxRegistration}`, sellerX, y, {
        width: sellerWidth,
        color: QUIET,
        align: 'right',
      })

    let left = 112
    const buyer = `${invoice.buyer.name}${words.to ? ` ${words.to}` : ''}`
    left += this.#text(buyer, MARGIN, left, { width: 280, size: 13, bold: true }) + 4
    for (const line of [invoice.buyer.address, invoice.buyer.email])
      if (line) left += this.#text(line, MARGIN, left, { width: 280, color: QUIET }) + 1

    const facts: [string, string][] = [
      [words.number, invoice.number ?? '—'],
      ...(invoice.correctsNumber ? ([[words.corrects, invoice.correctsNumber]] as [string, string][]) : []),
      [words.issuedOn, invoice.issuedOn ? dateText(invoice.issuedOn, locale) : '—'],
      [words.period, periodText(invoice, locale)],
      ...(invoice.dueOn ? ([[words.dueOn, dateText(invoice.dueOn, locale)]] as [string, string][]) : []),
    ]
    let right = Math.max(y + 16, 124)
    for (const [name, value] of facts) {
      this.#text(name, sellerX - 40, right, { width: 100, color: QUIET })
      right += Math.max(12, this.#text(value, sellerX + 62, right, { width: sellerWidth - 62, align: 'right' })) + 3
    }

    const boxY = Math.max(left + 14, right + 8)
    this.doc.roundedRect(MARGIN, boxY, WIDTH, 46, 4).fill(TINT)
    const label = invoice.kind === 'credit-note' ? words.credit : words.total
    this.#text(label, MARGIN + 16, boxY + 15, { width: 240, size: 10.5, bold: true, color: QUIET })
    this.#text(moneyText(invoice.total, invoice.currency, locale), MARGIN + 200, boxY + 8, {
      width: WIDTH - 216,
      size: 20,
      bold: true,
      align: 'right',
    })
    this.#y = boxY + 64
  }

  #columnHeads(first: string = this.#words.description): void {
    const words = this.#words
    const heads: [Column, string][] = [
      [COLUMNS.description, first],
      [COLUMNS.quantity, words.quantity],
      [COLUMNS.price, words.price],
      [COLUMNS.amount, words.amount],
    ]
    for (const [{ x, width, align }, name] of heads)
      this.#text(name, x, this.#y, { width, size: 8, bold: true, color: QUIET, align })
    this.#y += 15
    this.#rule(this.#y, INK, 0.8)
    this.#y += 6
  }

  #newPage(): void {
    this.doc.addPage({ size: 'A4', margin: 0 })
    this.#y = MARGIN
  }

  #need(height: number, heads?: string): void {
    if (this.#y + height <= BOTTOM) return
    this.#newPage()
    if (heads !== undefined) this.#columnHeads(heads)
  }

  /** The table of lines. */
  lines(lines: readonly InvoiceLine[], withContracts: boolean): void {
    const { locale } = this
    const words = this.#words
    this.#columnHeads()
    for (const line of lines) {
      const description = `${(locale === 'ja' && line.descriptionJa) || line.description}${line.taxCode === 'reduced' ? ' ※' : ''}`
      const under = [
        withContracts && line.contractNumber ? `${words.contract} ${line.contractNumber}` : null,
        line.services > 1 ? words.services(line.services) : null,
      ].filter((part) => part !== null)
      this.doc.font('regular').fontSize(9)
      const height =
        this.doc.heightOfString(description, { width: COLUMNS.description.width }) + (under.length > 0 ? 11 : 0)
      this.#need(height + 7, words.description)
      this.#text(description, COLUMNS.description.x, this.#y, { width: COLUMNS.description.width })
      if (under.length > 0)
        this.#text(under.join(' · '), COLUMNS.description.x, this.#y + height - 11, {
          width: COLUMNS.description.width,
          size: 7.5,
          color: QUIET,
        })
      this.#numbers(line)
      this.#y += height + 4
      this.#rule(this.#y)
      this.#y += 5
    }
  }

  /** Quantity, price and amount of a line at the present height. */
  #numbers(line: InvoiceLine, size = 9): void {
    const { locale, invoice } = this
    const { quantity, price, amount } = COLUMNS
    this.#text(
      `${decimalText(quantityText(line.measure, line.divisor))} ${unitText(line.unit, locale)}`,
      quantity.x,
      this.#y,
      {
        ...quantity,
        size,
        oneLine: true,
      },
    )
    this.#text(decimalText(line.price), price.x, this.#y, { ...price, size, oneLine: true })
    this.#text(moneyText(line.amount, invoice.currency, locale), amount.x, this.#y, { ...amount, size, oneLine: true })
  }

  /** Subtotal, base and tax per rate, total. */
  totals(): void {
    const { invoice, locale } = this
    const words = this.#words
    const money = (amount: bigint) => moneyText(amount, invoice.currency, locale)
    const rows: [string, string, string][] = [[words.subtotal, '', money(invoice.subtotal)]]
    for (const { percent, base, tax, code } of invoice.taxes) {
      const rate = decimalText(percent)
      rows.push(
        code === 'exempt'
          ? [words.exempt, money(base), money(0n)]
          : [`${words.taxBase(rate)}${code === 'reduced' ? ' ※' : ''}`, money(base), `${words.tax} ${money(tax)}`],
      )
    }
    this.#need(rows.length * 16 + 60)
    this.#y += 8
    const x = MARGIN + 190
    for (const [name, base, amount] of rows) {
      this.#text(name, x, this.#y, { width: 110, color: QUIET })
      this.#text(base, x + 104, this.#y, { width: 86, align: 'right', color: QUIET, oneLine: true })
      this.#text(amount, x + 194, this.#y, { width: RIGHT - x - 194, align: 'right', oneLine: true })
      this.#y += 16
    }
    this.#rule(this.#y, INK, 0.8, x)
    this.#y += 6
    this.#text(invoice.kind === 'credit-note' ? words.credit : words.total, x, this.#y, {
      width: 170,
      bold: true,
      size: 10,
    })
    this.#text(money(invoice.total), x + 174, this.#y, { width: RIGHT - x - 174, bold: true, size: 10, align: 'right' })
    this.#y += 26
    const notes = [
      ...(invoice.taxes.some(({ code }) => code === 'reduced') ? [words.reduced] : []),
      ...(invoice.kind === 'invoice' && invoice.dueOn && invoice.total > 0n
        ? [words.pay(dateText(invoice.dueOn, locale))]
        : []),
    ]
    for (const note of notes) {
      this.#need(16)
      this.#y += this.#text(note, MARGIN, this.#y, { width: WIDTH, color: QUIET }) + 3
    }
  }

  /** Every line under its contract, small. */
  breakdown(): void {
    const { invoice, locale } = this
    const words = this.#words
    this.#newPage()
    this.#text(words.breakdown, MARGIN, this.#y, { width: WIDTH, size: 14, bold: true })
    this.#y += 28
    this.#columnHeads(words.contract)
    let contract: string | null = ''
    for (const line of invoice.lines.slice(0, MAX_BREAKDOWN)) {
      if (line.contractId !== contract) {
        this.#need(26, words.contract)
        this.#y += this.#text(line.contractNumber ?? '—', MARGIN, this.#y, { width: 200, size: 8, bold: true }) + 2
        contract = line.contractId
      }
      this.#need(13, words.contract)
      this.#text((locale === 'ja' && line.descriptionJa) || line.description, MARGIN + 10, this.#y, {
        width: COLUMNS.description.width - 10,
        size: 8,
        color: QUIET,
        oneLine: true,
      })
      this.#numbers(line, 8)
      this.#y += 13
    }
    const left = invoice.lines.length - MAX_BREAKDOWN
    if (left > 0) {
      this.#need(16)
      this.#text(words.more(left), MARGIN, this.#y + 4, { width: WIDTH, size: 8, color: QUIET })
    }
  }

  /** Page numbers, once all pages are there. */
  numbers(): void {
    const { start, count } = this.doc.bufferedPageRange()
    for (let index = 0; index < count; index++) {
      this.doc.switchToPage(start + index)
      this.#rule(PAGE.height - 44)
      this.#text(
        `${this.invoice.seller.name} · ${this.invoice.number ?? this.#words.draft}`,
        MARGIN,
        PAGE.height - 36,
        {
          width: 300,
          size: 7.5,
          color: QUIET,
          oneLine: true,
        },
      )
      this.#text(this.#words.page(index + 1, count), RIGHT - 150, PAGE.height - 36, {
        width: 150,
        size: 7.5,
        color: QUIET,
        align: 'right',
        oneLine: true,
      })
    }
  }
}
