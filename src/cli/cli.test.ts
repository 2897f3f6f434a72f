/** The command line as people and programs run it: each command is a process of its own, against a real server. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { furnishedWorld } from '../../test/support/furnished.ts'
import { insertKey } from '../../test/support/server.ts'
import { ELSEWHERE, NOUNS } from './commands.ts'
import { completionScript } from './completion.ts'
import { operation, operationNames } from './description.ts'
import { optionsOf, readInstant, readRequest } from './input.ts'
import { card, table, Writer, widthOf } from './table.ts'

const world = await furnishedWorld()
const url = await world.server.listen({ port: 0, host: '127.0.0.1' })
const folder = mkdtempSync(join(tmpdir(), 'izumi-cli-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))

interface Ran {
  code: number
  out: string
  err: string
}

function izumi(args: string[], environment: Record<string, string> = {}, input = ''): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
      env: {
        ...process.env,
        IZUMI_URL: url,
        IZUMI_API_KEY: world.keys.operator.owner,
        XDG_CONFIG_HOME: folder,
        DATABASE_URL: world.database.url,
        LC_ALL: 'en_GB.UTF-8',
        TZ: 'UTC',
        NODE_COMPILE_CACHE: join(folder, 'compiled'),
        ...environment,
      },
    })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk) => (out += chunk))
    child.stderr.on('data', (chunk) => (err += chunk))
    child.stdin.end(input)
    // A command that hangs fails its test instead of the run.
    const patience = setTimeout(() => child.kill(), 20_000)
    child.on('close', (code) => {
      clearTimeout(patience)
      resolve({ code: code ?? -1, out, err })
    })
  })
}
const json = async (...args: string[]) => {
  const ran = await izumi([...args, '--json'])
  assert.equal(ran.code, 0, ran.err)
  return JSON.parse(ran.out)
}

test('every operation of the API has its command', () => {
  const commanded = NOUNS.flatMap(({ commands }) => commands.map(({ operation: name }) => name))
  assert.equal(new Set(commanded).size, commanded.length)
  assert.deepEqual([...commanded, ...ELSEWHERE].sort(), operationNames().sort())
})

test('sites: a table for people, all of it with pools and steps for programs', async () => {
  const [people, sites] = await Promise.all([izumi(['sites']), json('sites')])
  assert.match(people.out, /^Code +Name +Pools +Steps/)
  assert.match(people.out, /yokohama-1 +yokohama-1 +6/)
  assert.deepEqual(sites.map(({ code }: { code: string }) => code).sort(), ['saitama-1', 'yokohama-1'])
  assert.ok(sites[0].pools.length === 6 && sites[0].steps.length > 0)
})

test('an order is estimated, placed, shown and handed back', async () => {
  const estimate = await izumi([
    'estimates',
    '--party',
    'other',
    '--offering',
    'rack',
    '--config',
    'site=yokohama-1,power=2',
  ])
  assert.match(estimate.out, /Monthly +¥|Monthly +JP¥/, estimate.err)
  const order = await json(
    'orders',
    'add',
    '--party',
    'other',
    '--offering',
    'rack',
    '--config',
    'site=yokohama-1',
    '--config',
    'power=2',
    '--name',
    'From afar',
  )
  assert.equal(order.state, 'completed')
  const shown = await izumi(['orders', 'show', order.id])
  assert.match(shown.out, /Offering name +Rack space/)
  assert.equal((await json('services', 'terminate', order.serviceId)).state, 'terminated')
  const listed = await json('orders', '--q', order.number)
  assert.deepEqual(
    listed.map(({ id }: { id: string }) => id),
    [order.id],
  )
})

test('a claim by lines, changed against its version, released later', async () => {
  const claim = await json(
    'claims',
    'add',
    '--party',
    'other',
    '--line',
    'site=yokohama-1,kind=power,quantity=2.5',
    '--line',
    'site=saitama-1,kind=power,quantity=1',
    '--to',
    '+30d',
  )
  assert.deepEqual(
    claim.lines.map(({ quantity }: { quantity: number }) => quantity),
    [2.5, 1],
  )
  const stale = await izumi(['claims', 'change', claim.id, '--version', '7', '--to', '+40d'])
  assert.equal(stale.code, 1)
  assert.match(stale.err, /version 7/)
  assert.equal((await json('claims', 'release', claim.id, '--at', '+1d')).state, 'active')
  const much = await izumi(['claims', 'add', '--line', 'site=yokohama-1,kind=power,quantity=99999'])
  assert.equal(much.code, 1)
  assert.match(much.err, /power/)
})

test('errors say what to do, with an exit status of their own', async () => {
  const [words, missing, nobody, unknown, gone] = await Promise.all([
    izumi(['orders', '--state', 'lost']),
    izumi(['parties', 'add', '--name', 'X']),
    izumi(['sites'], { IZUMI_API_KEY: 'izumi_wrong' }),
    izumi(['stes']),
    izumi(['sites'], { IZUMI_URL: 'http://127.0.0.1:1' }),
  ])
  assert.deepEqual([words.code, missing.code, nobody.code, unknown.code, gone.code], [2, 2, 1, 2, 3])
  assert.match(words.err, /completed, waiting, cancelled/)
  assert.match(missing.err, /--kind/)
  assert.match(nobody.err, /izumi sign-in/)
  assert.match(unknown.err, /Did you mean (one of )?.*sites/s)
  assert.match(gone.err, /npm start/)
})

test('sign-in keeps a session for its owner only; sign-out forgets it', async () => {
  const none = { IZUMI_API_KEY: '' }
  const signed = await izumi(['sign-in', '--email', 'a@customer.example'], none, 'long enough to do\n')
  assert.equal(signed.code, 0, signed.err)
  assert.equal(statSync(join(folder, 'izumi', 'config.json')).mode & 0o777, 0o600)
  assert.match((await izumi(['whoami'], none)).out, /customer owner, owner of customer/)
  const changed = await izumi(['users', 'invite', '--email', 'c@customer.example', '--role', 'engineer'], none)
  assert.match(changed.out, /Link +http/, changed.err)
  assert.equal((await izumi(['sign-out'], none)).code, 0)
  assert.equal((await izumi(['whoami'], none)).code, 1)
})

test('events are followed as lines of JSON', async () => {
  const following = izumi(['events', 'follow', '--type', 'party.*', '--count', '1', '--json'])
  let done = false
  void following.finally(() => (done = true))
  // Until the follower has connected and seen one.
  for (let i = 0; !done && i < 100; i++) {
    await world.call('POST', '/parties', {
      key: world.keys.operator.owner,
      body: { kind: 'customer', name: `Followed ${i}` },
    })
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  assert.equal(JSON.parse((await following).out).type, 'party.created')
})

test('an invoice comes as PDF; anything else by `api`', async () => {
  const file = join(folder, 'invoice.pdf')
  const ran = await izumi(['invoices', 'pdf', String(world.things.customer.invoice), '--output', file])
  assert.equal(ran.code, 0, ran.err)
  assert.equal(readFileSync(file).subarray(0, 5).toString(), '%PDF-')
  assert.match((await izumi(['api', 'GET', '/parties/other'])).out, /"code":"other"/)
})

test('what a key may not do is refused in words; the audit finds nothing', async () => {
  const key = await insertKey(world.database, world.operator, 'read-only')
  const refused = await izumi(['sites', 'add', '--code', 'x', '--name', 'X'], { IZUMI_API_KEY: key })
  assert.equal(refused.code, 1)
  assert.match(refused.err, /role/)
  const audit = await izumi(['audit'])
  assert.equal(audit.code, 0)
  assert.match(audit.out, /Findings +none/)
})

test('a backup is written from beside the running server', async () => {
  const file = join(folder, 'cli.backup')
  const made = await izumi(['backup', file])
  assert.match(made.out, /Backed up \d+ rows/, made.err)
  assert.ok(existsSync(file))
  const again = await izumi(['restore', file])
  assert.equal(again.code, 1)
  assert.match(again.err, /not empty/)
})

test('help has examples, completion knows every noun', async () => {
  const help = await izumi(['claims', 'add', '--help'])
  assert.equal(help.code, 0)
  assert.match(help.out, /izumi claims add --party/)
  for (const shell of ['bash', 'zsh', 'fish'])
    for (const { name } of NOUNS) assert.ok(completionScript(shell).includes(name), `${shell} ${name}`)
})

test('words become requests after the schema', () => {
  const now = Date.UTC(2026, 10, 24)
  assert.equal(readInstant('+2h', '--to', now), '2026-11-24T02:00:00.000Z')
  assert.throws(() => readInstant('soon', '--to', now), /--to soon is not an instant/)
  const options = optionsOf(operation('POST /orders'))
  const { body } = readRequest(options, {
    offering: 'rack',
    config: ['site=yokohama-1,power=2', '{"protect":true}'],
    waitUntil: '2027-01-01T00:00:00Z',
    contract: 'null',
  })
  assert.deepEqual(body, {
    offering: 'rack',
    config: { site: 'yokohama-1', power: 2, protect: true },
    wait: { until: '2027-01-01T00:00:00.000Z' },
    contract: null,
  })
})

test('tables put numbers to the right, count wide characters twice, and let nothing steer the terminal', () => {
  const writer = new Writer('en-GB', 'Asia/Tokyo')
  assert.equal(widthOf('横浜1'), 5)
  const text = table(
    [
      { name: '横浜第1', value: 1_234.5, at: '2026-03-31T15:00:00.000Z', money: { amount: '-1234', currency: 'USD' } },
      { name: 'a\u001b[2Jb', value: 7, at: null, money: { amount: '900719925474099312345', currency: 'JPY' } },
    ],
    [
      { title: 'Name', path: 'name' },
      { title: 'Value', path: 'value' },
      { title: 'At', path: 'at' },
      { title: 'Money', path: 'money' },
    ],
    writer,
  )
  const lines = text.split('\n')
  assert.match(lines[2]!, /^横浜第1 +1,234.5 {2}1 Apr 2026, 00:00 +-US\$12.34$/)
  assert.match(lines[3]!, /^a \[2Jb +7 {2}– +JP¥900,719,925,474,099,312,345$/)
  assert.match(card({ name: 'x', lines: [{ a: 1 }] }, writer), /Name {2}x\n\nLines\nA\n─\n1/)
})
