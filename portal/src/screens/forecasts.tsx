import { Anchor, Badge } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { type Page as ApiPage, useOne } from '../api.ts'
import { useFormat } from '../format.ts'
import { Empty, Loaded } from '../parts/feedback.tsx'
import { Page, Section } from '../parts/page.tsx'
import { SiteName } from '../parts/site-name.tsx'
import { SearchableRows } from '../parts/table.tsx'
import type { Forecast } from '../types.ts'

/** Every pool, the one that runs out first on top, with the date by which its next step must be committed. */
export function ForecastsScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const forecasts = useOne<ApiPage<Forecast>>('/forecasts')
  const late = (date: string | null) => date !== null && Date.parse(date) < Date.now()
  return (
    <Page title={t('forecasts.title')} intro={t('forecasts.intro')}>
      <Section>
        <Loaded reading={forecasts}>
          {(page) =>
            page.items.length === 0 ? (
              <Empty title={t('forecasts.none')} />
            ) : (
              <SearchableRows
                words={(row) => `${row.site} ${row.kind} ${t(`kinds.${row.kind}`, { defaultValue: '' })}`}
                label={t('forecasts.title')}
                rows={page.items}
                rowKey={(row) => row.poolId}
                rowLink={(row) => `/pools/${row.poolId}`}
                columns={[
                  {
                    title: t('capacity.pool'),
                    cell: (row) => (
                      <Anchor component={Link} to={`/pools/${row.poolId}`} size="sm">
                        <SiteName code={row.site} /> · {t(`kinds.${row.kind}`, { defaultValue: row.kind })}
                      </Anchor>
                    ),
                  },
                  {
                    title: t('forecasts.trend'),
                    cell: (row) =>
                      t('forecasts.perMonth', {
                        amount: format.number(row.trendPerDay * 30.4, 1),
                        unit: format.unit(row.unit),
                      }),
                    number: true,
                    from: 'sm',
                  },
                  {
                    title: t('forecasts.runsOutAt'),
                    cell: (row) => (row.runsOutAt ? format.date(row.runsOutAt) : t('forecasts.notInSight')),
                    number: true,
                  },
                  {
                    title: t('forecasts.commitBy'),
                    cell: (row) =>
                      row.commitBy ? (
                        <>
                          {format.date(row.commitBy)}{' '}
                          {late(row.commitBy) && <Badge color="red">{t('forecasts.late')}</Badge>}
                        </>
                      ) : (
                        '–'
                      ),
                    number: true,
                  },
                ]}
              />
            )
          }
        </Loaded>
      </Section>
    </Page>
  )
}
