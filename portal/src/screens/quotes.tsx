import { Button, Group } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useTranslation } from 'react-i18next'
import { send, useChange } from '../api.ts'
import { useFormat } from '../format.ts'
import { useMay, useMe } from '../me.tsx'
import { ProblemNote } from '../parts/feedback.tsx'
import { Page, Section, State } from '../parts/page.tsx'
import { SiteName } from '../parts/site-name.tsx'
import { type Column, ListTable } from '../parts/table.tsx'
import type { Quote } from '../types.ts'

export function QuotesScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const me = useMe()
  const may = useMay()
  const act = useChange(
    (input: { quote: Quote; verb: 'accept' | 'withdraw' }) =>
      send('POST', `/quotes/${input.quote.id}/${input.verb}`, { body: {} }),
    {
      onDone: () => notifications.show({ message: t('quotes.done') }),
    },
  )
  const columns: Column<Quote>[] = [
    { title: t('common.number'), cell: (row) => row.number },
    ...(me.party.kind === 'customer' ? [] : [{ title: t('common.customer'), cell: (row: Quote) => row.partyName }]),
    { title: t('offerings.offering'), cell: (row) => row.offeringName ?? row.offering, from: 'md' },
    { title: t('common.site'), cell: (row) => <SiteName code={row.config.site as string} />, from: 'sm' },
    { title: t('common.state'), cell: (row) => <State value={row.state} /> },
    { title: t('quotes.monthly'), cell: (row) => format.money(row.estimate?.monthly), number: true, from: 'sm' },
    { title: t('quotes.expires'), cell: (row) => format.dateTime(row.expiresAt), number: true, from: 'sm' },
    {
      title: '',
      cell: (row) =>
        row.state === 'open' &&
        may.order && (
          <Group gap={6} justify="flex-end" wrap="nowrap">
            <Button
              size="compact-xs"
              loading={act.isPending && act.variables?.quote.id === row.id}
              onClick={() => act.mutate({ quote: row, verb: 'accept' })}
            >
              {t('quotes.accept')}
            </Button>
            <Button size="compact-xs" variant="default" onClick={() => act.mutate({ quote: row, verb: 'withdraw' })}>
              {t('quotes.withdraw')}
            </Button>
          </Group>
        ),
      number: true,
    },
  ]
  return (
    <Page title={t('nav.quotes')} intro={t('quotes.intro')}>
      <ProblemNote problem={act.error} />
      <Section>
        <ListTable<Quote>
          path="/quotes"
          label={t('nav.quotes')}
          columns={columns}
          rowKey={(row) => row.id}
          filters={[
            {
              name: 'state',
              label: t('common.state'),
              options: ['open', 'accepted', 'expired', 'withdrawn'].map((value) => ({
                value,
                label: t(`states.${value}`),
              })),
            },
          ]}
          empty={{ title: t('quotes.empty'), hint: t('quotes.emptyHint') }}
        />
      </Section>
    </Page>
  )
}
