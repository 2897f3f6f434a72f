/** The process that `edge-process.ts` starts: an edge on the file that is named, which says where it listens. */
import { startEdge } from '../../../src/edge/main.ts'

const edge = await startEdge({ file: process.argv[2]! })
console.log(JSON.stringify(edge.addresses))
