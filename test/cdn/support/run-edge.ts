/** An edge that joins, without the rest of the command line: options as JSON, the first argument. */
import { runJoined } from '../../../src/cli/join.ts'

await runJoined(JSON.parse(process.argv[2]!))
