/**
 * The scripts in `vtc/` say byte by byte what clients and origins do on the wire, in the language of Debian's varnishtest, which
 * plays both sides; each runs against a fresh edge. Without varnishtest they cannot run: told loudly, and a failure in CI.
 */
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startPlainEdge } from './support/plain-edge.ts'

const folder = fileURLToPath(new URL('./vtc/', import.meta.url))
const isInstalled = spawnSync('varnishtest', ['-h']).error === undefined
const missing = 'varnishtest is not installed: bin/setup-engines.sh installs it (Debian package varnish)'
if (!isInstalled) console.error(missing)

for (const file of readdirSync(folder).sort())
  test(`wire case ${file}`, { skip: isInstalled || process.env.CI ? false : missing }, async () => {
    assert.ok(isInstalled, missing)
    const originPort = await freePort()
    const edge = await startPlainEdge({ origin: { host: '127.0.0.1', port: originPort } })
    try {
      const output = await run([
        ...['-D', `edge=127.0.0.1:${edge.port}`, '-D', `origin=127.0.0.1:${originPort}`, '-t', '30'],
        folder + file,
      ])
      assert.equal(output, null, output ?? '')
    } finally {
      await edge.close()
    }
  })

/** Null when it passed, else its log. */
function run(parameters: string[]): Promise<string | null> {
  return new Promise((resolve) =>
    execFile('varnishtest', parameters, { maxBuffer: 1 << 26 }, (error, stdout) =>
      resolve(error === null ? null : stdout),
    ),
  )
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}
