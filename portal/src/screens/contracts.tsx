import { Anchor, Button } from '@mantine/core'
import { Link, useParams } from '@tanstack/react-router'
import type { TFunction } from 'i18next'
import { useTranslation } from 'react-i18next'
import { useOne } from '../api.ts'
import { type Format, useFormat } from '../format.ts'
import { useMay, useMe } from '../me.tsx'
import { Empty, Loaded } from '../parts/feedback.tsx'
import { Facts, Page, Section, State } from '../parts/page.tsx'
import { type Column, ListTable, RowsTable } from '../parts/table.tsx'
import type { Contract } from '../types.ts'
import { Amendments, serviceColumns } from './services.tsx'

export function contractColumns(t: TFunction, format: Format, withParty: boolean): Column<Contract>[] {
  return [
    {
      title: t('common.number'),
      cell: (row) => (
        <Anchor component={Link} to={`/contracts/${row.id}`} size="sm" fw={500}>
          {row.number}
        </Anchor>
      ),
    },
    ...(withParty ? [{ title: t('common.customer'), cell: (row: Contract) => row.partyName }] : []),
    { title: t('common.state'), cell: (row) => <State value={row.state} /> },
    { title: t('common.from'), cell: (row) => format.date(row.startsAt), number: true, from: 'sm' },
    { title: t('contracts.minimumTerm'), cell: (row) => format.date(row.minimumTermUntil), number: true, from: 'lg' },
    {
      title: t('common.to'),
      cell: (row) => (row.endsAt ? format.date(row.endsAt) : t('common.openEnded')),
      number: true,
      from: 'md',
    },
  ]
}

export function ContractsScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const me = useMe()
  return (
    <Page title={t('nav.contracts')}>
      <Section>
        <ListTable<Contract>
          path="/contracts"
          label={t('nav.contracts')}
          columns={contractColumns(t, format, me.party.kind !== 'customer')}
          rowKey={(row) => row.id}
          rowLink={(row) => `/contracts/${row.id}`}
          filters={[
            {
              name: 'state',
              label: t('common.state'),
              options: ['pending', 'active', 'ended'].map((value) => ({ value, label: t(`states.${value}`) })),
            },
          ]}
          empty={{ title: t('contracts.empty'), hint: t('contracts.emptyHint') }}
        />
      </Section>
    </Page>
  )
}

export function ContractScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const may = useMay()
  const { contract: id } = useParams({ strict: false }) as { contract: string }
  const contract = useOne<Contract>(`/contracts/${id}`)
  return (
    <Loaded reading={contract}>
      {(data) => (
        <Page
          title={t('contracts.one', { number: data.number })}
          trail={[{ label: t('nav.contracts'), to: '/contracts' }]}
          badge={<State value={data.state} />}
          actions={
            may.order &&
            data.state !== 'ended' && (
              <Button
                component={Link}
                to="/order"
                search={{ contract: data.id, party: data.partyId } as never}
                variant="light"
              >
                {t('contracts.addService')}
              </Button>
            )
          }
        >
          <Section>
            <Facts
              facts={[
                [
                  t('common.customer'),
                  <Anchor component={Link} to={`/parties/${data.partyId}`} key="party">
                    {data.partyName}
                  </Anchor>,
                ],
                [t('contracts.seller'), data.sellerName],
                [t('common.from'), format.date(data.startsAt)],
                [t('contracts.minimumTerm'), format.date(data.minimumTermUntil)],
                [t('common.to'), data.endsAt ? format.date(data.endsAt) : t('common.openEnded')],
                [t('setUp.currency'), data.currency],
              ]}
            />
          </Section>
          <Section title={t('nav.services')}>
            {data.services && data.services.length > 0 ? (
              <RowsTable
                label={t('nav.services')}
                rows={data.services}
                columns={serviceColumns(t, format, false)}
                rowKey={(row) => row.id}
                rowLink={(row) => `/services/${row.id}`}
              />
            ) : (
              <Empty title={t('services.none')} />
            )}
          </Section>
          <Section title={t('amendments.title')} hint={t('amendments.hint')}>
            <Amendments amendments={data.amendments ?? []} />
          </Section>
        </Page>
      )}
    </Loaded>
  )
}
