/** Simulated edges: the node's own code, each with a folder and a key of its own, and nothing behind it. */
import { join } from 'node:path'
import { startNode } from '../../src/node/node.ts'

const AT_ONCE = 20

process.on('disconnect', () => process.exit(0))
process.once('message', async ({ url, tokens, folder }: { url: string; tokens: string[]; folder: string }) => {
  const waiting = tokens.map((token, index) => ({ token, index }))
  const some = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      await startNode({
        folder: join(folder, String(next.index)),
        controlPlane: url,
        token: next.token,
        kind: 'edge',
        software: 'simulated',
        apply: async () => {},
        event: async () => {},
        dismissed: () => {},
      })
  }
  await Promise.all(Array.from({ length: AT_ONCE }, some))
  process.send!('ready')
})
