import { Anchor, Box, Button, Group, Select, SimpleGrid, Stack, Text, Timeline } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Page as ApiPage, useOne } from '../api.ts'
import { Bars } from '../charts/bars.tsx'
import { useFormat } from '../format.ts'
import { useMe } from '../me.tsx'
import { Empty, Loaded } from '../parts/feedback.tsx'
import { Figure, Page, Section } from '../parts/page.tsx'
import { SiteName } from '../parts/site-name.tsx'
import { ListTable } from '../parts/table.tsx'
import { PoolLine } from '../parts/use-bar.tsx'
import type { Forecast, Invoice, Quarter, RecordedEvent, Results, Service, Site } from '../types.ts'
import { invoiceColumns } from './invoices.tsx'
import { PoolChart } from './pool.tsx'
import { serviceColumns } from './services.tsx'
import { useSiteName } from './sites.tsx'

export function HomeScreen() {
  return useMe().party.kind === 'operator' ? <OperatorHome /> : <CustomerHome />
}

function OperatorHome() {
  const { t } = useTranslation()
  const format = useFormat()
  const siteName = useSiteName()
  const sites = useOne<ApiPage<Site>>('/sites')
  const results = useOne<Results>('/results')
  const quarters = results.data?.quarters ?? []
  const now = quarters.at(-1)
  // Money is told of the last quarter that is over; contracts and services of this minute.
  const closed = quarters.findLast((quarter) => !isRunning(quarter))
  const growth = closed?.revenueGrowth.quarterOnQuarter
  return (
    <Page title={t('home.operator')} intro={t('home.operatorIntro')}>
      <SimpleGrid cols={{ base: 2, md: 4 }}>
        <Figure
          label={t('results.contracts')}
          value={now ? format.number(now.contracts) : '–'}
          note={now && t('home.newThisQuarter', { count: now.newContracts })}
          to="/contracts"
        />
        <Figure
          label={t('results.services')}
          value={now ? format.number(now.services) : '–'}
          note={now?.quarter}
          to="/services"
        />
        <Figure
          label={t('results.revenue')}
          value={closed ? format.moneyCompact(closed.revenue) : '–'}
          note={
            growth == null
              ? closed?.quarter
              : `${closed!.quarter} · ${t('results.quarterOnQuarter', { growth: signed(format.percent(growth), growth) })}`
          }
          tone={growth == null ? undefined : growth >= 0 ? 'good' : 'bad'}
          to="/results"
        />
        <Figure
          label={t('results.arpu')}
          value={closed?.arpu ? format.moneyCompact(closed.arpu) : '–'}
          note={t('results.arpuNote')}
          to="/results"
        />
      </SimpleGrid>
      <Loaded reading={sites}>
        {(page) => (
          <>
            <CapacitySection sites={page.items} />
            <SimpleGrid cols={{ base: 1, md: 2 }}>
              {page.items.map((site) => (
                <Section
                  key={site.id}
                  title={siteName(site)}
                  aside={
                    <Anchor component={Link} to={`/sites/${site.code}`}>
                      {t('common.open')}
                    </Anchor>
                  }
                >
                  <Stack gap="sm">
                    {site.pools.map((pool) => (
                      <PoolLine key={pool.id} pool={pool} />
                    ))}
                  </Stack>
                </Section>
              ))}
            </SimpleGrid>
          </>
        )}
      </Loaded>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Urgent />
        <Recent />
      </SimpleGrid>
      {quarters.length > 1 && (
        <Section title={t('results.revenueByQuarter')}>
          <Bars
            label={t('results.revenueByQuarter')}
            bars={quarters.slice(-8).map((quarter) => ({
              label: isRunning(quarter) ? t('results.soFar', { quarter: quarter.quarter }) : quarter.quarter,
              total: format.moneyCompact(quarter.revenue),
              parts: Object.entries(quarter.revenueByFamily).map(([family, money]) => ({
                name: t(`families.${family}`, { defaultValue: family }),
                value: Number(money.amount),
              })),
            }))}
          />
        </Section>
      )}
    </Page>
  )
}

/** Whether a quarter is not over yet, so that its money is only so far. */
export const isRunning = (quarter: Quarter): boolean => Date.parse(quarter.to) > Date.now()

export const signed = (text: string, value: number): string => (value > 0 ? `+${text}` : text)

function CapacitySection({ sites }: { sites: Site[] }) {
  const { t } = useTranslation()
  const siteName = useSiteName()
  const pools = sites.flatMap((site) => site.pools.map((pool) => ({ pool, site })))
  const [chosen, setChosen] = useState<string | null>(null)
  const current =
    pools.find(({ pool }) => String(pool.id) === chosen) ??
    pools.find(({ pool }) => pool.kind === 'rack-unit') ??
    pools[0]
  if (!current) return <Empty title={t('sites.empty')} hint={t('sites.emptyHint')} />
  return (
    <Section
      title={t('capacity.title')}
      hint={t('capacity.hint')}
      aside={
        <Select
          aria-label={t('capacity.pool')}
          data={sites.map((site) => ({
            group: siteName(site),
            items: site.pools.map((pool) => ({
              value: String(pool.id),
              label: `${siteName(site)} · ${t(`kinds.${pool.kind}`, { defaultValue: pool.name })}`,
            })),
          }))}
          value={String(current.pool.id)}
          onChange={setChosen}
          allowDeselect={false}
          w={220}
        />
      }
    >
      <PoolChart poolId={current.pool.id} />
    </Section>
  )
}

function Urgent() {
  const { t } = useTranslation()
  const format = useFormat()
  const forecasts = useOne<ApiPage<Forecast>>('/forecasts')
  return (
    <Section
      title={t('forecasts.title')}
      aside={
        <Anchor component={Link} to="/forecasts">
          {t('common.all')}
        </Anchor>
      }
    >
      <Loaded reading={forecasts} lines={4}>
        {(page) => {
          const urgent = page.items.filter((forecast) => forecast.runsOutAt).slice(0, 6)
          if (urgent.length === 0) return <Text c="dimmed">{t('forecasts.none')}</Text>
          return (
            <Stack gap="xs">
              {urgent.map((forecast) => (
                <Group key={forecast.poolId} justify="space-between" wrap="nowrap">
                  <Anchor component={Link} to={`/pools/${forecast.poolId}`} size="sm">
                    <SiteName code={forecast.site} /> · {t(`kinds.${forecast.kind}`, { defaultValue: forecast.kind })}
                  </Anchor>
                  <Text size="sm" className="number">
                    {t('forecasts.runsOut', { date: format.date(forecast.runsOutAt) })}
                  </Text>
                </Group>
              ))}
            </Stack>
          )
        }}
      </Loaded>
    </Section>
  )
}

function Recent() {
  const { t } = useTranslation()
  const format = useFormat()
  const events = useOne<ApiPage<RecordedEvent>>('/events', { limit: 6 }, { refreshMs: 15_000 })
  return (
    <Section
      title={t('audit.recent')}
      aside={
        <Anchor component={Link} to="/audit">
          {t('common.all')}
        </Anchor>
      }
    >
      <Loaded reading={events} lines={4}>
        {(page) =>
          page.items.length === 0 ? (
            <Text c="dimmed">{t('audit.empty')}</Text>
          ) : (
            <Timeline bulletSize={12} lineWidth={2} active={page.items.length}>
              {page.items.map((event) => (
                <Timeline.Item
                  key={event.id}
                  title={
                    <Text size="sm">{t(`events.${event.type.replace('.', '-')}`, { defaultValue: event.type })}</Text>
                  }
                >
                  <Text size="xs" c="dimmed">
                    {event.actorName} · {format.relative(event.at)}
                  </Text>
                </Timeline.Item>
              ))}
            </Timeline>
          )
        }
      </Loaded>
    </Section>
  )
}

function CustomerHome() {
  const { t } = useTranslation()
  const me = useMe()
  const format = useFormat()
  const services = useOne<ApiPage<Service>>('/services', { state: 'active', limit: 200 })
  const invoices = useOne<ApiPage<Invoice>>('/invoices', { limit: 12 })
  const last = invoices.data?.items[0]
  return (
    <Page
      title={t('home.customer', { name: me.user?.name ?? me.party.name })}
      intro={t('home.customerIntro', { operator: me.operator.name })}
      actions={
        <Button component={Link} to="/order">
          {t('nav.order')}
        </Button>
      }
    >
      {last && (
        <SimpleGrid cols={{ base: 1, sm: 3 }}>
          <Figure
            label={t('home.lastInvoice')}
            value={format.money(last.total)}
            note={format.month(last.period)}
            to={`/invoices/${last.id}`}
          />
          <Figure label={t('home.due')} value={last.dueOn ? format.date(last.dueOn) : '–'} note={last.number} />
          <Box>
            <Figure label={t('nav.services')} value={services.data?.items.length ?? '–'} to="/services" />
          </Box>
        </SimpleGrid>
      )}
      <Section title={t('nav.services')}>
        <ListTable<Service>
          path="/services"
          query={{ state: 'active' }}
          label={t('nav.services')}
          columns={serviceColumns(t, format, false)}
          rowKey={(row) => row.id}
          rowLink={(row) => `/services/${row.id}`}
          empty={{
            title: t('services.empty'),
            hint: t('services.emptyHint'),
            action: (
              <Button component={Link} to="/order" variant="light">
                {t('nav.order')}
              </Button>
            ),
          }}
        />
      </Section>
      <Section title={t('nav.invoices')}>
        <ListTable<Invoice>
          path="/invoices"
          label={t('nav.invoices')}
          columns={invoiceColumns(t, format, false)}
          rowKey={(row) => row.id}
          rowLink={(row) => `/invoices/${row.id}`}
          empty={{ title: t('invoices.empty'), hint: t('invoices.emptyHint') }}
          search={false}
        />
      </Section>
    </Page>
  )
}
