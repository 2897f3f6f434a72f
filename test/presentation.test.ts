/**
 * The demonstration provider, started as people start it, asked as programs ask it: `izumi sites --json` gives the tables
 * of the presentation's new data centres, cell for cell, and their printed totals.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryFolder } from './support/folder.ts'
import { startServer, type TestServer } from './support/process.ts'

const at = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))

let server: TestServer
before(async () => {
  server = await startServer({ demo: true })
})
after(() => server.stop())

/** Runs the command line with a configuration folder of its own. */
function izumi(home: string, ...words: string[]): string {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', at('src/cli/main.ts'), ...words],
    {
      encoding: 'utf8',
      env: {
        ...process.env,
        HOME: home,
        XDG_CONFIG_HOME: home,
        IZUMI_URL: server.url,
        IZUMI_PASSWORD: 'as much as needed',
      },
    },
  )
  assert.equal(status, 0, stderr)
  return stdout
}

interface PrintedSite {
  code: string
  steps: { quantities: Record<string, number> }[]
}

test("the presentation's data-centre tables come out of `izumi sites --json`", () => {
  const facts = JSON.parse(readFileSync(at('data-sets/presentation-facts.json'), 'utf8')) as {
    facts: { name: string; value: number }[]
  }
  const fact = (name: string) => facts.facts.find((each) => each.name === name)!.value
  const home = temporaryFolder('izumi-home-')
  izumi(home, 'sign-in', '--email', 'operator@izumi.example')
  const sites = JSON.parse(izumi(home, 'sites', '--json')) as PrintedSite[]
  assert.deepEqual(sites.map(({ code }) => code).sort(), ['saitama-1', 'yokohama-1'])
  for (const [code, prefix] of [
    ['yokohama-1', 'yok'],
    ['saitama-1', 'sai'],
  ]) {
    const { steps } = sites.find((site) => site.code === code)!
    assert.equal(steps.length, 3)
    for (const [kind, printed] of [
      ['floor', 'floor'],
      ['server-room', 'server'],
      ['office', 'office'],
      ['seat', 'seats'],
    ]) {
      const cells = steps.map(({ quantities }) => quantities[kind!] ?? 0)
      assert.deepEqual(
        cells,
        [1, 2, 3].map((step) => fact(`${prefix}_${printed}_step${step}`)),
        `${code} ${kind}`,
      )
      assert.equal(cells[0]! + cells[1]! + cells[2]!, fact(`${prefix}_${printed}_total`), `${code} ${kind}`)
    }
  }
})
