/** `edge.ts CONFIG [public]`: the edge as benchmarks run it; `public` leaves the shared read buffer out. */
import { startEdge } from '../../src/edge/main.ts'

const [file, way] = process.argv.slice(2)
const edge = await startEdge({ file: file! }, { admin: false, oneReadBuffer: way !== 'public' })
console.log('ready')
process.on('SIGTERM', async () => {
  await edge.close()
  process.exit(0)
})
