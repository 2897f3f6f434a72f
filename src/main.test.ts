/** A whole Izumi as people start it: set up once, started again on the same data, stopped, refused with a reason. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startServer } from '../test/support/process.ts'

const server = await startServer()
after(() => server.stop())
const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))

const call = async (method: string, path: string, options: { cookie?: string; body?: unknown } = {}) => {
  const response = await fetch(server.url + path, {
    method,
    headers: {
      ...(options.body ? { 'content-type': 'application/json' } : {}),
      ...(options.cookie ? { cookie: options.cookie } : {}),
    },
    ...(options.body ? { body: JSON.stringify(options.body) } : {}),
  })
  return { status: response.status, text: await response.text(), headers: response.headers }
}
const owner = { name: 'Owner', email: 'owner@op.example', password: 'correct horse battery' }

/** Starts a second one; returns what it said before it gave up. */
const startAnother = (environment: Record<string, string>, args: string[] = []) =>
  spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
    env: { ...process.env, DATABASE_URL: '', ...environment },
    encoding: 'utf8',
    timeout: 60_000,
  })

test('it asks to be set up, once, and remembers it over a kill and a start', async () => {
  assert.match(server.output(), /Open it to set it up/)
  assert.equal(JSON.parse((await call('GET', '/api/v1/set-up')).text).needed, true)
  const made = await call('POST', '/api/v1/set-up', { body: { operator: { name: 'Op' }, owner } })
  assert.equal(made.status, 201, made.text)
  const cookie = made.headers.get('set-cookie')!.split(';')[0]!
  await server.kill()
  await server.start()
  assert.equal(JSON.parse((await call('GET', '/api/v1/set-up')).text).needed, false)
  assert.equal(JSON.parse((await call('GET', '/api/v1/me', { cookie })).text).user.email, owner.email)
})

test('it serves the reference and every address of the portal under a strict policy', async () => {
  const reference = await call('GET', '/api/')
  assert.equal(reference.status, 200)
  assert.doesNotMatch(reference.text, /https?:\/\/(?!127\.0\.0\.1)[a-z.]*(jsdelivr|scalar|google)/)
  const page = await call('GET', '/orders/some-id')
  assert.ok([200, 503].includes(page.status))
  if (page.status === 200) assert.match(page.headers.get('content-security-policy')!, /default-src 'self'/)
  assert.equal((await call('GET', '/assets/none.js')).status, 404)
  assert.equal((await call('GET', '/..%2f..%2fpackage.json')).status, 404)
  assert.match((await call('GET', '/metrics')).text, /izumi_request_seconds_count/)
})

test('it goes on by itself after its PostgreSQL was killed', async () => {
  const lock = join(server.dataFolder, 'postgres', 'cluster', 'postmaster.pid')
  process.kill(Number(readFileSync(lock, 'utf8').split('\n')[0]), 'SIGKILL')
  const deadline = Date.now() + 60_000
  for (;;) {
    const answer = await call('POST', '/api/v1/sign-in', { body: { email: owner.email, password: owner.password } })
    if (answer.status === 200) break
    assert.equal(answer.status, 503, answer.text)
    assert.ok(Date.now() < deadline, 'it did not come back')
    await pause(100)
  }
})

test('a stop closes everything, also when the signal comes twice', async () => {
  const lock = join(server.dataFolder, 'postgres', 'cluster', 'postmaster.pid')
  assert.ok(existsSync(lock))
  await server.signal('SIGINT', 2)
  assert.match(server.output(), /Stopping \(SIGINT\)/)
  assert.equal(existsSync(lock), false, 'PostgreSQL was left running')
  await server.start()
})

test('what keeps it from starting is said in a sentence', () => {
  const port = new URL(server.url).port
  const inUse = startAnother({ IZUMI_PORT: port })
  assert.equal(inUse.status, 1)
  assert.match(inUse.stderr, new RegExp(`^Port ${port} is in use. .*IZUMI_PORT=${Number(port) + 1}`))
  assert.match(startAnother({ IZUMI_PORT: 'eighty' }).stderr, /must be a port from 1 to 65535/)
  assert.match(startAnother({}, ['--dmo']).stderr, /--dmo is not known/)
})
