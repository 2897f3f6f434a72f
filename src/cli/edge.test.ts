/** `izumi edge` as people run it: it says where it serves, what is wrong with a file, and what to do when nobody answers. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'izumi-cli-edge-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Starts `izumi edge …`; `seen` is asked after each piece of output whether it may end. */
function izumi(
  args: string[],
  seen: (out: string) => Promise<boolean> = async () => false,
): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, 'edge', ...args], {
      env: { ...process.env, XDG_CONFIG_HOME: folder },
    })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk) => {
      out += chunk
      seen(out).then((isOver) => {
        if (isOver) child.kill('SIGTERM')
      }, reject)
    })
    child.stderr.on('data', (chunk) => (err += chunk))
    child.on('close', (code) => resolve({ code: code ?? -1, out, err }))
  })
}

test('--origin serves and caches at once, and prints where', async () => {
  let asked = 0
  const origin = createServer((_, response) => {
    asked++
    response.writeHead(200, { 'cache-control': 'max-age=60' }).end('hello')
  })
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
  const { port } = origin.address() as { port: number }
  const ran = await izumi(
    ['--origin', `http://127.0.0.1:${port}`, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
    async (out) => {
      const url = /Serving .* at (http:\S+)/.exec(out)?.[1]
      if (url === undefined || !out.includes('Ctrl-C')) return false
      for (let turn = 0; turn < 2; turn++) assert.equal(await (await fetch(url)).text(), 'hello')
      return true
    },
  )
  origin.close()
  assert.equal(ran.code, 0, ran.err)
  assert.equal(asked, 1)
  assert.match(ran.out, /Purge, figures and health at http:/)
})

test('check shows the line and what would be right; purge says that nobody answers', async () => {
  const file = join(folder, 'edge.yaml')
  writeFileSync(file, 'properties:\n  - name: shop\n    hosts: [shop.example]\n    orign: http://127.0.0.1:1\n')
  const wrong = await izumi(['check', file])
  assert.equal(wrong.code, 1)
  assert.match(wrong.err, /edge\.yaml:4:5 {2}properties\[0\]\.orign: there is no setting orign here; expected origin\?/)
  assert.match(wrong.err, /4 \| {5}orign: http/)
  writeFileSync(file, 'properties:\n  - name: shop\n    hosts: [shop.example]\n    origin: http://127.0.0.1:1\n')
  const right = await izumi(['check', file, '--json'])
  assert.deepEqual(JSON.parse(right.out), { ok: true, properties: 1, hosts: 1 })
  const nobody = await izumi(['purge', '--all', '--at', 'http://127.0.0.1:9'])
  assert.equal(nobody.code, 3)
  assert.match(nobody.err, /No edge answers at http:\/\/127\.0\.0\.1:9/)
  assert.equal((await izumi(['purge'])).code, 2)
})
