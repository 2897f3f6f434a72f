/**
 * Hears what other processes announce with `NOTIFY`, on one connection of its own that is opened again whenever it
 * breaks. What was announced while it was away is lost, so `onGap` is called after each reconnection: whoever listens
 * then looks for itself.
 */
import pg from 'pg'
import type { Database } from './connection.ts'

const RECONNECT_MS = 500

export interface Notifications {
  close(): Promise<void>
}

/** Listens on channels; `hear` gets each announcement, and is called for every channel after a gap. */
export async function listen(
  database: Database,
  channels: readonly string[],
  hear: (channel: string, payload: string) => void,
): Promise<Notifications> {
  let client: pg.Client | null = null
  let closed = false
  let timer: NodeJS.Timeout | undefined

  const connect = async (): Promise<void> => {
    const next = new pg.Client({
      connectionString: database.url,
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      application_name: 'izumi-listen',
    })
    const again = () => {
      if (client === next) client = null
      next.removeAllListeners('notification')
      if (!closed && timer === undefined)
        timer = setTimeout(() => {
          timer = undefined
          connect()
            .then(() => {
              for (const channel of channels) hear(channel, '')
            })
            .catch(() => {})
        }, RECONNECT_MS)
    }
    next.on('error', again)
    next.on('end', again)
    next.on('notification', ({ channel, payload }) => hear(channel, payload ?? ''))
    try {
      await next.connect()
      for (const channel of channels) await next.query(`listen ${pg.escapeIdentifier(channel)}`)
    } catch (error) {
      again()
      throw error
    }
    if (closed) await next.end()
    else client = next
  }
  await connect()

  return {
    async close() {
      closed = true
      clearTimeout(timer)
      await client?.end().catch(() => {})
    },
  }
}
