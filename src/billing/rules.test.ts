import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { dueDate } from './issue.ts'
import { ACCOUNTS, type ChargeKind, invoicePostings, isBalanced, reversed } from './ledger.ts'
import { quantityText } from './model.ts'
import { isRegistrationNumber, percentOn, percentThousandths, taxTotals } from './tax.ts'

const line = (amount: bigint, taxPercent = '10.000', taxCode = 'standard') => ({ amount, taxCode, taxPercent })

describe('consumption tax', () => {
  for (const [name, lines, rounding, expected] of [
    ['is rounded once per rate', [line(1_004n), line(1_005n, '8.000', 'reduced')], 'down', [80n, 100n]],
    ['not per line', Array.from({ length: 10 }, () => line(15n)), 'down', [15n]],
    ['down as is customary', [line(1_009n)], 'down', [100n]],
    ['half up where an issuer wants it', [line(1_005n)], 'half-up', [101n]],
    ['of nothing is nothing', [], 'down', []],
    ['of a credit note is that of its invoice turned', [line(-1_009n)], 'down', [-100n]],
    ['of what is exempt is zero', [line(500n, '0.000', 'exempt')], 'down', [0n]],
  ] as const)
    test(name, () =>
      assert.deepEqual(
        taxTotals(lines, rounding).map(({ tax }) => tax),
        expected,
      ),
    )

  test('does not depend on how an amount is split over lines', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt(0n, 10n ** 9n), { minLength: 1, maxLength: 20 }), (amounts) => {
        const whole = amounts.reduce((a, b) => a + b, 0n)
        assert.deepEqual(taxTotals(amounts.map((amount) => line(amount))), taxTotals([line(whole)]))
      }),
    )
  })

  test('follows the dates of its rates', () => {
    const rates = [
      { code: 'standard', percent: '8.000', effectiveFrom: '2014-04-01' },
      { code: 'standard', percent: '10.000', effectiveFrom: '2019-10-01' },
    ]
    assert.deepEqual(
      ['2014-03-31', '2014-04-01', '2019-09-30', '2019-10-01'].map((date) => percentOn(rates, 'standard', date)),
      [null, '8.000', '8.000', '10.000'],
    )
    assert.equal(percentThousandths('8.25'), 8_250n)
  })

  test('registration numbers are checked by their check digit', () => {
    // 7000012050002 is the National Tax Agency's own corporate number.
    assert.ok(isRegistrationNumber('T7000012050002'))
    assert.ok(!isRegistrationNumber('T7000012050003'))
    assert.ok(!isRegistrationNumber('7000012050002'))
  })
})

describe('postings', () => {
  const charges = fc.record({
    charge: fc.constantFrom<ChargeKind>('setup', 'monthly', 'unit', 'early-termination'),
    family: fc.constantFrom('colocation', 'compute'),
    amount: fc.bigInt(-(10n ** 12n), 10n ** 12n),
  })

  test('balance whatever is invoiced, and reversed they take everything back', () => {
    fc.assert(
      fc.property(fc.array(charges, { maxLength: 30 }), fc.bigInt(0n, 10n ** 11n), (lines, tax) => {
        const total = lines.reduce((sum, { amount }) => sum + amount, tax)
        const postings = invoicePostings({ partyId: 'p', currency: 'JPY', tax, total }, lines)
        assert.ok(isBalanced(postings))
        assert.ok(postings.every(({ amount }) => amount !== 0n))
        for (const account of Object.values(ACCOUNTS)) {
          const sum = [...postings, ...reversed(postings)]
            .filter((posting) => posting.account === account)
            .reduce((all, { amount }) => all + amount, 0n)
          assert.equal(sum, 0n)
        }
      }),
    )
  })

  test('revenue stands by account and family', () => {
    const postings = invoicePostings({ partyId: 'p', currency: 'JPY', tax: 100n, total: 1_600n }, [
      { charge: 'setup', family: 'colocation', amount: 500n },
      { charge: 'unit', family: 'colocation', amount: 700n },
      { charge: 'monthly', family: 'colocation', amount: 300n },
    ])
    assert.deepEqual(
      postings.map(({ account, amount }) => [account, amount]),
      [
        ['1100', 1_600n],
        ['4200', -500n],
        ['4100', -1_000n],
        ['2200', -100n],
      ],
    )
  })
})

test('an invoice is due at the end of the month after its own, and never within two weeks', () => {
  assert.equal(dueDate('2026-10', '2026-11-01'), '2026-11-30')
  assert.equal(dueDate('2026-10', '2026-11-25'), '2026-12-09')
  assert.equal(dueDate('2026-12', '2027-01-05'), '2027-01-31')
})

test('quantities are shown with three decimals at most', () => {
  assert.deepEqual(
    [
      quantityText('7200000000', '3600000'),
      quantityText('1', '3'),
      quantityText('31', '31'),
      quantityText('0', '7'),
      quantityText('-5400', '3600'),
    ],
    ['2000', '0.333', '1', '0', '-1.5'],
  )
})
