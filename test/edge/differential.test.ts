/**
 * The fast way must be indistinguishable from the exact one on any stream of bytes, however it is cut: the same statuses,
 * fields and bodies in the same order. Streams are drawn from good, conditional, partial, broken and hostile requests.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { type BothWays, startBothWays } from './support/both-ways.ts'
import { type Answer, answersIn, exchange } from './support/wire.ts'

const RUNS = Number(process.env.RUNS ?? 1_500)
const SEED = process.env.SEED ? Number(process.env.SEED) : undefined

const BODY = (bytes: number) => Buffer.alloc(bytes, 'abcdefghijklmnopqrstuvwxyz')
const CACHED = ['/1k', '/20k', '/64k', '/gone', '/vary', '/o?x=1', '/empty', '/tagless']

const sizeOf: Record<string, number> = {
  '/1k': 1_024,
  '/20k': 20_480,
  '/64k': 65_536,
  '/gone': 12,
  '/vary': 300,
  '/o?x=1': 10,
  '/empty': 0,
  '/tagless': 50,
}

function origin(request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse): void {
  const path = request.url!
  request.resume()
  response.setHeader('x-path', path)
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    // Refused, so that nothing stored is invalidated between the two ways.
    response.statusCode = 403
    response.end('no')
    return
  }
  if (path in sizeOf) {
    response.setHeader('cache-control', 'max-age=10000')
    response.setHeader('content-type', 'text/plain')
    if (path !== '/tagless') response.setHeader('etag', `"${path}"`)
    if (path === '/vary') response.setHeader('vary', 'Accept-Encoding')
    response.statusCode = path === '/gone' ? 410 : 200
    response.end(BODY(sizeOf[path]!))
  } else if (path === '/chunked') {
    response.setHeader('cache-control', 'no-store')
    response.write('one')
    response.end('two')
  } else {
    response.setHeader('cache-control', 'no-store')
    response.statusCode = 404
    response.end('none')
  }
}

const pick = fc.constantFrom
const plainRequest = fc
  .record({
    target: pick(...CACHED, '/1k', '/1k'),
    method: pick('GET', 'GET', 'GET', 'HEAD'),
    fields: pick(
      '',
      '',
      'Range: bytes=0-9\r\n',
      'If-None-Match: "/1k"\r\n',
      'If-None-Match: *\r\n',
      'Accept-Encoding: gzip\r\n',
      'Range: bytes=-3\r\nIf-None-Match: W/"/1k", "z"\r\n',
    ),
  })
  .map(({ target, method, fields }) => ({
    method,
    text: `${method} ${target} HTTP/1.1\r\nHost: a.example\r\n${fields}\r\n`,
  }))

const field = fc.oneof(
  {
    weight: 6,
    arbitrary: pick(
      'User-Agent: x',
      'Accept: */*',
      'Accept-Encoding: gzip, br',
      'connection: Keep-Alive',
      'Cookie: a=b',
      'X-A:',
      'x-b:\tv\t',
      'Referer: http://a/',
    ),
  },
  {
    weight: 4,
    arbitrary: pick(
      'If-None-Match: "/1k"',
      'If-None-Match: "no"',
      'If-None-Match: W/"/20k"',
      'Range: bytes=0-9',
      'Range: bytes=-5',
      'Range: bytes=5-',
      'Range: bytes=9999999-',
      'Range: bytes=9-1',
      'Range: bytes=0-1,30-40',
      'Range: lines=1-2',
      'range: bytes=0-0',
      'If-Range: "/1k"',
      'If-Modified-Since: Tue, 01 Sep 2099 00:00:00 GMT',
      'Cache-Control: only-if-cached',
      'Cache-Control: max-age=100',
      'Authorization: Basic x',
      'Pragma: x',
      'CDN-Loop: other',
    ),
  },
  {
    weight: 2,
    arbitrary: pick(
      'Connection: close',
      'Content-Length: 0',
      'Content-Length: 3',
      'Content-Length: 3, 4',
      'Content-Length: 3\r\nContent-Length: 3',
      'Transfer-Encoding: chunked',
      'Transfer-Encoding : chunked',
      'Transfer-Encoding: xchunked',
      'Transfer-Encoding: chunked\r\nContent-Length: 3',
      ' folded',
      '\tfolded',
      'Host: a.example',
      'Host: evil',
      'NoColon',
      'Sp ace: x',
      'X-C: \x01',
      'X-D: \x00',
      'X-E: caf\xe9',
      ': empty',
      'Expect: 100-continue',
      'Expect: tea',
      'Upgrade: h2c',
      'X-F: a\rb',
      'X-G: a\nb',
      `X-Long: ${'y'.repeat(9_000)}`,
      `X-Longer: ${'y'.repeat(17_000)}`,
    ),
  },
)
const oddRequest = fc
  .record({
    method: pick('GET', 'GET', 'GET', 'HEAD', 'POST', 'OPTIONS', 'TRACE', 'get', 'GETX'),
    target: pick(
      ...CACHED,
      '/none',
      '/chunked',
      '/1k?x',
      '*',
      'http://a.example/1k',
      'http://b.example/1k',
      '/a b',
      '/\xe9',
      '//1k',
      '/1k#f',
      '/"<>',
      '',
    ),
    version: pick('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'http/1.1', 'HTTP/1.2', ''),
    host: pick(
      'Host: a.example',
      'Host: a.example',
      'Host: a.example',
      'host:a.example',
      'HOST: A.example',
      'Host: a.example:80',
      'Host: [::1]',
      '',
    ),
    fields: fc.array(field, { maxLength: 5 }),
    ends: fc.array(pick('\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r'), {
      minLength: 8,
      maxLength: 8,
    }),
    body: pick('', '', '', '', 'abc', '0\r\n\r\n', '3\r\nabc\r\n0\r\n\r\n'),
  })
  .map(({ method, target, version, host, fields, ends, body }) => {
    const lines = [`${method} ${target} ${version}`.trimEnd(), ...(host === '' ? [] : [host]), ...fields]
    return { method, text: lines.map((line, i) => line + ends[i % ends.length]).join('') + ends[7] + body }
  })
const stream = fc.record({
  requests: fc
    .array(
      fc.record({
        request: fc.oneof({ weight: 3, arbitrary: plainRequest }, { weight: 2, arbitrary: oddRequest }),
        // From the third time on the fast way knows a head by its bytes.
        times: pick(1, 1, 1, 1, 3, 4),
      }),
      { minLength: 1, maxLength: 6 },
    )
    .map((list) => list.flatMap(({ request, times }) => Array.from({ length: times }, () => request))),
  cuts: fc.array(fc.nat(700), { maxLength: 6 }),
})

function cut(text: string, cuts: readonly number[]): string[] {
  const at = [...new Set(cuts.filter((each) => each > 0 && each < text.length))].sort((a, b) => a - b)
  return [0, ...at].map((from, i) => text.slice(from, at[i] ?? text.length))
}

/** Less what the clock and the connection say. */
const comparable = (answers: readonly Answer[]) =>
  answers.map(({ status, fields, body, whole }) => ({
    status,
    fields: fields
      .filter((line) => !/^(date|age|connection|keep-alive):/.test(line))
      .map((line) => line.replace(/ttl=\d+/, 'ttl')),
    // A multipart boundary and a long body say as much by their length and ends.
    body: status >= 400 && /^\d{3} /.test(body) ? '' : `${body.length} ${body.slice(0, 60)} ${body.slice(-20)}`,
    whole,
  }))

for (const oneReadBuffer of [false, true])
  describe(`differential, ${oneReadBuffer ? 'one read buffer' : 'public way'}`, () => {
    let ways: BothWays
    before(async () => {
      ways = await startBothWays(origin, { oneReadBuffer })
      for (const path of [...CACHED, '/none', '/chunked'])
        for (const coding of ['', 'Accept-Encoding: gzip\r\n', 'Accept-Encoding: gzip, br\r\n'])
          await exchange(ways.port.exact, [`GET ${path} HTTP/1.1\r\nHost: a.example\r\n${coding}\r\n`])
    })
    after(() => ways.close())

    test('any stream of requests gets the same answers both ways', { timeout: 120_000 }, async () => {
      assert.equal(ways.front.fast.sharesReadBuffer, oneReadBuffer)
      await fc.assert(
        fc.asyncProperty(stream, async ({ requests, cuts }) => {
          const pieces = cut(requests.map(({ text }) => text).join(''), cuts)
          const methods = requests.map(({ method }) => method)
          // One after the other, so that neither waits for the other's fill.
          const fast = await exchange(ways.port.fast, pieces)
          const exact = await exchange(ways.port.exact, pieces)
          assert.deepEqual(comparable(answersIn(fast, methods)), comparable(answersIn(exact, methods)))
        }),
        { numRuns: RUNS, seed: SEED },
      )
    })
  })
