import assert from 'node:assert/strict'
import { appendFileSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { temporaryFolder } from '../../test/support/folder.ts'
import { type Change, Journal } from './journal.ts'

const root = temporaryFolder('izumi-journal-')
after(() => rmSync(root, { recursive: true, force: true }))
let count = 0
const folder = () => join(root, String(++count))
const contents = (journal: Journal) => [...journal.items.values()].map(({ key, body }) => [key, body])

test('what was appended is there again, whatever was cut off after it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.option(fc.nat())), { minLength: 1, maxLength: 30 }),
      fc.string({ maxLength: 20 }).map((text) => text.replaceAll('\n', '')),
      async (steps, rubbish) => {
        const at = folder()
        const journal = await Journal.open(at)
        const model = new Map<string, number>()
        for (const [index, [key, body]] of steps.entries()) {
          const change: Change =
            body === null
              ? { type: 'remove', sequence: index + 1, kind: 'k', key }
              : { type: 'set', sequence: index + 1, kind: 'k', key, body }
          await journal.append([change])
          if (body === null) model.delete(key)
          else model.set(key, body)
        }
        await journal.close()
        appendFileSync(join(at, 'state.jsonl'), `{"type":"set","seq${rubbish}`)
        const again = await Journal.open(at)
        assert.equal(again.position, steps.length)
        assert.deepEqual(new Map(contents(again) as [string, number][]), model)
        await again.append([{ type: 'set', sequence: 99, kind: 'k', key: 'z', body: 1 }])
        await again.close()
        const third = await Journal.open(at)
        assert.equal(third.position, 99)
        await third.close()
      },
    ),
    { numRuns: 20 },
  )
})

test('a journal of many old lines is written anew and says the same', async () => {
  const at = folder()
  const journal = await Journal.open(at)
  for (let round = 0; round < 30; round++)
    await journal.append(
      Array.from({ length: 100 }, (_, index) => ({
        type: 'set' as const,
        sequence: round * 100 + index + 1,
        kind: 'k',
        key: String(index % 5),
        body: round,
      })),
    )
  await journal.passed(5_000)
  await journal.close()
  assert.ok(readFileSync(join(at, 'state.jsonl'), 'utf8').split('\n').length < 1_500)
  const again = await Journal.open(at)
  assert.deepEqual([again.position, again.items.size], [5_000, 5])
  await again.close()
})
