/**
 * HTTP/2 by h2spec (summerwind/h2spec, 146 cases), over TLS with ALPN as browsers come. h2spec is not ours to ship: name a
 * built one with `--h2spec FILE` (docs/benchmarks.md says how to build it from Debian's packages alone).
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startBothWays } from '../edge/support/both-ways.ts'

/**
 * Many cases send something wrong on a stream that the server has not answered yet. From the cache, or from an origin beside
 * it, an answer is out before the wrong frame arrives, and then there is no such stream any more to be wrong about: so the
 * origin takes as long as origins do.
 */
const ANSWER_MS = 50

export interface Http2Result {
  passed: number
  total: number
  misses: string[]
}

export async function runHttp2(program: string): Promise<Http2Result> {
  const folder = mkdtempSync(join(tmpdir(), 'izumi-http2-'))
  const [certificate, key] = [join(folder, 'certificate.pem'), join(folder, 'key.pem')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  execFileSync(
    'openssl',
    ['req', '-x509', ...curve, '-days', '2', '-subj', '/CN=a.example', '-keyout', key, '-out', certificate],
    {
      stdio: 'ignore',
    },
  )
  const ways = await startBothWays((request, response) => {
    request.resume()
    response.setHeader('cache-control', 'no-store')
    setTimeout(() => response.end('x'.repeat(2_000)), ANSWER_MS)
  })
  try {
    const pem = (file: string) => readFileSync(file, 'utf8')
    const listener = await ways.listen({
      tls: {
        certificates: [{ names: ['a.example'], certificate: pem(certificate), key: pem(key) }],
        minVersion: 'TLSv1.2',
        ticketKeys: Buffer.alloc(48),
      },
    })
    const args = ['-h', '127.0.0.1', '-p', String(listener.address.port), '-t', '-k', '-o', '1']
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
    await new Promise((resolve, reject) => {
      child.on('close', resolve)
      child.on('error', reject)
    })
    const [, total = 0, passed = 0] = (/(\d+) tests, (\d+) passed/.exec(text) ?? []).map(Number)
    // Misses are told of twice; only the second time with what was expected.
    const failures = text.slice(text.indexOf('Failures:'))
    const misses = failures
      .split('\n')
      .filter((line) => /^ *(\xc3\x97|[×\xd7]|\S*) ?\d+: /.test(line) && !/^ *\d/.test(line))
    return { passed, total, misses: misses.map((line) => line.replace(/^[^0-9]*/, '')) }
  } finally {
    await ways.close()
    rmSync(folder, { recursive: true, force: true })
  }
}
