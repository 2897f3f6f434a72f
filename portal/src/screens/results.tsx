import { ScrollArea, SegmentedControl, SimpleGrid, Table } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useOne } from '../api.ts'
import { Bars } from '../charts/bars.tsx'
import { majorUnits, useFormat } from '../format.ts'
import { Empty, Loaded } from '../parts/feedback.tsx'
import { Figure, Page, Section } from '../parts/page.tsx'
import { SiteName } from '../parts/site-name.tsx'
import type { Quarter, Results } from '../types.ts'
import { isRunning, signed } from './home.tsx'

/** The quarter's results, from the same rows as the invoices and the racks. */
export function ResultsScreen() {
  const { t } = useTranslation()
  const results = useOne<Results>('/results')
  return (
    <Page title={t('nav.results')} intro={t('results.intro')}>
      <Loaded reading={results}>
        {(data) =>
          data.quarters.length === 0 ? (
            <Empty title={t('results.empty')} hint={t('results.emptyHint')} />
          ) : (
            <Report quarters={data.quarters} />
          )
        }
      </Loaded>
    </Page>
  )
}

function Report({ quarters }: { quarters: Quarter[] }) {
  const { t } = useTranslation()
  const format = useFormat()
  const [chosen, setChosen] = useState(
    (quarters.findLast((quarter) => !isRunning(quarter)) ?? quarters.at(-1)!).quarter,
  )
  const now = quarters.find((quarter) => quarter.quarter === chosen)!
  const families = [...new Set(quarters.flatMap((quarter) => Object.keys(quarter.revenueByFamily)))]
  // A quarter that is not over is compared with nothing: part of one against the whole of another says nothing.
  const growth = (quarter: Quarter, kind: 'quarterOnQuarter' | 'yearOnYear') => {
    const value = quarter.revenueGrowth[kind]
    return value === null || isRunning(quarter) ? '–' : signed(format.percent(value), value)
  }
  const named = (quarter: Quarter) =>
    isRunning(quarter) ? t('results.soFar', { quarter: quarter.quarter }) : quarter.quarter
  const shown = quarters.slice(-8)
  return (
    <>
      <SegmentedControl
        value={chosen}
        onChange={setChosen}
        data={quarters.slice(-6).map((quarter) => ({ value: quarter.quarter, label: named(quarter) }))}
        style={{ alignSelf: 'flex-start', maxWidth: '100%', overflowX: 'auto' }}
      />
      <SimpleGrid cols={{ base: 2, md: 4 }}>
        <Figure
          label={t('results.revenue')}
          value={format.moneyCompact(now.revenue)}
          note={t('results.quarterOnQuarter', { growth: growth(now, 'quarterOnQuarter') })}
          tone={isRunning(now) ? undefined : (now.revenueGrowth.quarterOnQuarter ?? 0) >= 0 ? 'good' : 'bad'}
        />
        <Figure label={t('results.yearOnYearLabel')} value={growth(now, 'yearOnYear')} note={now.quarter} />
        <Figure
          label={t('results.contracts')}
          value={format.number(now.contracts)}
          note={t('results.newEnded', {
            added: format.number(now.newContracts),
            ended: format.number(now.endedContracts),
          })}
        />
        <Figure
          label={t('results.arpu')}
          value={now.arpu ? format.moneyCompact(now.arpu) : '–'}
          note={t('results.arpuNote')}
        />
      </SimpleGrid>
      <SimpleGrid cols={{ base: 1, lg: 2 }}>
        <Section title={t('results.revenueByFamily')}>
          <Bars
            label={t('results.revenueByFamily')}
            bars={shown.map((quarter) => ({
              label: named(quarter).replace('FY', ''),
              total: format.moneyCompact(quarter.revenue),
              parts: families.map((family) => ({
                name: t(`families.${family}`, { defaultValue: family }),
                value: quarter.revenueByFamily[family] ? majorUnits(quarter.revenueByFamily[family]) : 0,
              })),
            }))}
          />
        </Section>
        <Section title={t('results.contractsByQuarter')}>
          <Bars
            label={t('results.contractsByQuarter')}
            bars={shown.map((quarter) => ({
              label: named(quarter).replace('FY', ''),
              total: format.number(quarter.contracts),
              parts: [{ name: t('results.contracts'), value: quarter.contracts }],
            }))}
          />
        </Section>
      </SimpleGrid>
      <Section title={t('results.table')}>
        <ScrollArea type="auto">
          <Table aria-label={t('results.table')}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th />
                {shown.map((quarter) => (
                  <Table.Th key={quarter.quarter} className="number">
                    {named(quarter)}
                  </Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              <Line
                label={t('results.revenue')}
                quarters={shown}
                value={(quarter) => format.money(quarter.revenue)}
                strong
              />
              {families.map((family) => (
                <Line
                  key={family}
                  label={t(`families.${family}`, { defaultValue: family })}
                  quarters={shown}
                  value={(quarter) => format.money(quarter.revenueByFamily[family])}
                />
              ))}
              <Line
                label={t('results.quarterOnQuarterLabel')}
                quarters={shown}
                value={(quarter) => growth(quarter, 'quarterOnQuarter')}
              />
              <Line
                label={t('results.yearOnYearLabel')}
                quarters={shown}
                value={(quarter) => growth(quarter, 'yearOnYear')}
              />
              <Line
                label={t('results.contracts')}
                quarters={shown}
                value={(quarter) => format.number(quarter.contracts)}
                strong
              />
              <Line
                label={t('results.new')}
                quarters={shown}
                value={(quarter) => format.number(quarter.newContracts)}
              />
              <Line
                label={t('results.ended')}
                quarters={shown}
                value={(quarter) => format.number(quarter.endedContracts)}
              />
              <Line
                label={t('results.services')}
                quarters={shown}
                value={(quarter) => format.number(quarter.services)}
              />
              <Line label={t('results.arpu')} quarters={shown} value={(quarter) => format.money(quarter.arpu)} strong />
            </Table.Tbody>
          </Table>
        </ScrollArea>
      </Section>
      <Section title={t('results.capacity', { quarter: now.quarter })} hint={t('results.capacityHint')}>
        <ScrollArea type="auto">
          <Table aria-label={t('results.capacity', { quarter: now.quarter })}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t('common.site')}</Table.Th>
                <Table.Th>{t('capacity.kind')}</Table.Th>
                <Table.Th className="number">{t('capacity.open')}</Table.Th>
                <Table.Th className="number">{t('results.peak')}</Table.Th>
                <Table.Th className="number">{t('results.average')}</Table.Th>
                <Table.Th className="number">{t('results.used')}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {now.capacity.map((row) => (
                <Table.Tr key={`${row.site}${row.kind}`}>
                  <Table.Td>
                    <SiteName code={row.site} />
                  </Table.Td>
                  <Table.Td>
                    {t(`kinds.${row.kind}`, { defaultValue: row.kind })} ({format.unit(row.unit)})
                  </Table.Td>
                  <Table.Td className="number">{format.number(row.open, 0)}</Table.Td>
                  <Table.Td className="number">{format.number(row.peak, 0)}</Table.Td>
                  <Table.Td className="number">{format.number(row.averageUsed, 1)}</Table.Td>
                  <Table.Td className="number">
                    {row.open > 0 ? format.percent(row.averageUsed / row.open) : '–'}
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </ScrollArea>
      </Section>
    </>
  )
}

function Line({
  label,
  quarters,
  value,
  strong,
}: {
  label: string
  quarters: Quarter[]
  value: (quarter: Quarter) => string
  strong?: boolean
}) {
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={strong ? 650 : 400}>
        {label}
      </Table.Th>
      {quarters.map((quarter) => (
        <Table.Td key={quarter.quarter} className="number" fw={strong ? 650 : 400}>
          {value(quarter)}
        </Table.Td>
      ))}
    </Table.Tr>
  )
}
