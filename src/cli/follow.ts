/** `izumi events follow`: prints changes as they happen, and goes on where it was when the connection breaks. */
import { setTimeout as pause } from 'node:timers/promises'
import { Refused, send, Unreachable } from './client.ts'
import type { Config } from './config.ts'
import { readerLocale, Writer } from './table.ts'

const RECONNECT_MS = 1_000

interface Followed {
  at: string
  type: string
  actorName: string | null
  subjectKind: string
  subjectId: string
}

/** The blocks of a stream of server-sent events. */
async function* blocks(response: Response): AsyncGenerator<Map<string, string>> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body!) {
    text += decoder.decode(chunk, { stream: true })
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const fields = text
        .slice(0, end)
        .split('\n')
        .map((line): [string, string] => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)])
      text = text.slice(end + 2)
      yield new Map(fields)
    }
  }
}

/** Follows until interrupted, or for `count` events. */
export async function follow(
  config: Config,
  options: { type?: string; json?: boolean; count?: number },
): Promise<void> {
  const writer = new Writer(readerLocale(), config.timeZone ?? undefined)
  let lastId: string | null = null
  let seen = 0
  for (let opened = false; ; ) {
    try {
      const query = options.type ? `?type=${encodeURIComponent(options.type)}` : ''
      const response = await send(config, 'GET', `/events/stream${query}`, {
        headers: lastId ? { 'last-event-id': lastId } : {},
      })
      if (!opened && !options.json) process.stderr.write('Following; stop with Ctrl-C.\n')
      opened = true
      for await (const block of blocks(response)) {
        const data = block.get('data')
        if (data === undefined) continue
        lastId = block.get('id') ?? lastId
        const event: Followed = JSON.parse(data)
        process.stdout.write(
          options.json
            ? `${data}\n`
            : `${writer.show(event.at, 'instant')}  ${event.type.padEnd(24)}  ${writer.show(event.actorName, 'text')}  ${event.subjectKind} ${event.subjectId}\n`,
        )
        if (options.count !== undefined && ++seen >= options.count) return
      }
    } catch (error) {
      if (error instanceof Refused || (error instanceof Unreachable && !opened)) throw error
    }
    await pause(RECONNECT_MS)
  }
}
