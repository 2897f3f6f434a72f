/**
 * Usage on its way up: what the engine counted is put into a numbered batch on disk, sent until it is taken, and only then
 * forgotten, first by the engine and then here. A crash at any step repeats the step; the number keeps it from counting
 * twice. One batch is under way at a time.
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { FEED_LIMITS, type UsageBatch, type UsageSlot } from '../feed/messages.ts'
import { readWhole, writeWhole } from './files.ts'

export interface UsageSource {
  /** Closed slots that were not taken yet, oldest first. */
  pending(): Promise<UsageSlot[]>
  /** They are on record with the control plane: forget them. */
  taken(ids: readonly string[]): Promise<void>
}

export class UsageSpool {
  readonly #folder: string
  readonly #source: UsageSource
  readonly #send: (batch: UsageBatch) => Promise<void>

  constructor(folder: string, source: UsageSource, send: (batch: UsageBatch) => Promise<void>) {
    this.#folder = join(folder, 'usage')
    this.#source = source
    this.#send = send
  }

  /** Sends all there is; returns how many slots. @throws what `send` throws; nothing is lost by it */
  async empty(): Promise<number> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const spool = join(this.#folder, 'batch.json')
    const counter = join(this.#folder, 'last')
    let sent = 0
    for (;;) {
      const last = Number((await readWhole(counter)) ?? 0)
      const text = await readWhole(spool)
      let batch = text === null ? null : (JSON.parse(text) as UsageBatch)
      // Left over from a crash after it was counted.
      if (batch !== null && batch.batch <= last) batch = null
      if (batch === null) {
        const slots = (await this.#source.pending()).slice(0, FEED_LIMITS.batchSlots)
        if (slots.length === 0) return sent
        batch = { batch: last + 1, slots }
        await writeWhole(spool, JSON.stringify(batch))
      }
      await this.#send(batch)
      await this.#source.taken(batch.slots.map(({ id }) => id))
      await writeWhole(counter, String(batch.batch))
      await rm(spool, { force: true })
      sent += batch.slots.length
    }
  }
}
