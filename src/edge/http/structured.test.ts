import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  Decimal,
  DisplayString,
  isInnerList,
  parseDictionary,
  parseItem,
  parseList,
  serializeString,
  Token,
} from './structured.ts'

test('bare items of RFC 9651 §3.3', () => {
  const cases: [string, unknown][] = [
    ['42', 42],
    ['-7', -7],
    ['-0', 0],
    ['4.5', new Decimal(4.5)],
    ['"a \\"b\\" \\\\"', 'a "b" \\'],
    ['foo123/456', new Token('foo123/456')],
    ['*x', new Token('*x')],
    [':cHJldGVuZA==:', new Uint8Array(Buffer.from('pretend'))],
    ['?1', true],
    ['?0', false],
    ['@1659578233', new Date(1_659_578_233_000)],
    ['%"f%c3%bc"', new DisplayString('fü')],
  ]
  for (const [text, value] of cases) assert.deepEqual(parseItem(text)?.value, value, text)
})

test('what is malformed is no field at all', () => {
  for (const text of [
    '',
    '1.',
    '1.2345',
    '1234567890123456',
    '"',
    '"\\a"',
    '?2',
    ':a',
    'a b',
    '@1.5',
    '%"%zz"',
    '%"%ff"',
    '-',
    '"é"',
  ])
    assert.equal(parseItem(text), null, text)
  for (const text of ['a,', 'a,,b', '(a', '(a b))', 'a b']) assert.equal(parseList(text), null, text)
  for (const text of ['A=1', 'a=,b', 'a=1,', 'a=1 b=2', '&']) assert.equal(parseDictionary(text), null, text)
})

test('lists, inner lists and parameters', () => {
  const [first, second] = parseList('a;q=1;x, ("b" 2);y=?0')!
  assert.deepEqual(first, {
    value: new Token('a'),
    parameters: new Map<string, unknown>([
      ['q', 1],
      ['x', true],
    ]),
  })
  assert.ok(isInnerList(second!))
  assert.deepEqual(
    second.items.map(({ value }) => value),
    ['b', 2],
  )
  assert.equal(second.parameters.get('y'), false)
})

test('dictionaries: a key alone is true, the last of equal keys wins', () => {
  const members = parseDictionary('a, b=2, a=3;p')!
  assert.deepEqual([...members.keys()], ['b', 'a'])
  assert.deepEqual(members.get('a'), { value: 3, parameters: new Map([['p', true]]) })
})

test('any printable text survives as a string', () => {
  const printable = fc.stringMatching(/^[ -~]*$/)
  fc.assert(fc.property(printable, (text) => assert.equal(parseItem(serializeString(text))?.value, text)))
})
