import { Anchor, Button } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { send, useChange } from '../api.ts'
import { useFormat } from '../format.ts'
import { useMay, useMe } from '../me.tsx'
import { ProblemNote } from '../parts/feedback.tsx'
import { Page, Section, State } from '../parts/page.tsx'
import { type Column, ListTable } from '../parts/table.tsx'
import type { Order } from '../types.ts'

export function OrdersScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const me = useMe()
  const may = useMay()
  const cancel = useChange((order: Order) => send('POST', `/orders/${order.id}/cancel`), {
    onDone: () => notifications.show({ message: t('orders.cancelled') }),
  })
  const columns: Column<Order>[] = [
    { title: t('common.number'), cell: (row) => row.number },
    ...(me.party.kind === 'customer' ? [] : [{ title: t('common.customer'), cell: (row: Order) => row.partyName }]),
    { title: t('offerings.offering'), cell: (row) => row.offering, from: 'md' },
    { title: t('common.state'), cell: (row) => <State value={row.state} /> },
    { title: t('orders.at'), cell: (row) => format.dateTime(row.createdAt), number: true, from: 'sm' },
    {
      title: '',
      cell: (row) =>
        row.serviceId ? (
          <Anchor component={Link} to={`/services/${row.serviceId}`} size="sm">
            {t('common.service')}
          </Anchor>
        ) : (
          row.state === 'waiting' &&
          may.order && (
            <Button
              size="compact-xs"
              variant="light"
              color="red"
              loading={cancel.isPending && cancel.variables?.id === row.id}
              onClick={() => cancel.mutate(row)}
            >
              {t('common.cancel')}
            </Button>
          )
        ),
      number: true,
    },
  ]
  return (
    <Page
      title={t('nav.orders')}
      intro={t('orders.intro')}
      actions={
        may.order && (
          <Button component={Link} to="/order">
            {t('nav.order')}
          </Button>
        )
      }
    >
      <ProblemNote problem={cancel.error} />
      <Section>
        <ListTable<Order>
          path="/orders"
          label={t('nav.orders')}
          columns={columns}
          rowKey={(row) => row.id}
          filters={[
            {
              name: 'state',
              label: t('common.state'),
              options: ['completed', 'waiting', 'cancelled'].map((value) => ({ value, label: t(`states.${value}`) })),
            },
          ]}
          empty={{ title: t('orders.empty'), hint: t('orders.emptyHint') }}
        />
      </Section>
    </Page>
  )
}
