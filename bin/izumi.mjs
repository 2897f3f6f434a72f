#!/usr/bin/env node
// `izumi`: the command line, on the Node version that the lockfile pins.
process.argv.splice(2, 0, 'src/cli/main.ts')
await import('./run.mjs')
