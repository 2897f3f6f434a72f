import type { InvoiceInFull } from './model.ts'
export async function invoicePdf(_invoice: InvoiceInFull, _locale: 'en' | 'ja'): Promise<Buffer> {
  return Buffer.from('')
}
