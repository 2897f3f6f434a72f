import { Anchor, Box, Button, Card, Code, Group, Modal, Stack, Table, Text, Title } from '@mantine/core'
import { MonthPickerInput } from '@mantine/dates'
import { useDisclosure } from '@mantine/hooks'
import { notifications } from '@mantine/notifications'
import { IconDownload, IconPlayerPlay, IconPrinter } from '@tabler/icons-react'
import { Link, useParams } from '@tanstack/react-router'
import type { TFunction } from 'i18next'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Page as ApiPage, send, useChange, useOne } from '../api.ts'
import { type Format, useFormat } from '../format.ts'
import { useMay, useMe } from '../me.tsx'
import { Loaded, ProblemNote } from '../parts/feedback.tsx'
import { Page, Section, State } from '../parts/page.tsx'
import { type Column, ListTable, RowsTable } from '../parts/table.tsx'
import type { Invoice, InvoiceLine } from '../types.ts'

export function invoiceColumns(
  t: TFunction,
  format: Format,
  withParty: boolean,
  withSeller = false,
): Column<Invoice>[] {
  return [
    {
      title: t('common.number'),
      cell: (row) => (
        <Anchor component={Link} to={`/invoices/${row.id}`} size="sm" fw={500}>
          {row.number ?? t('states.draft')}
        </Anchor>
      ),
    },
    ...(withParty ? [{ title: t('common.customer'), cell: (row: Invoice) => row.partyName }] : []),
    ...(withSeller
      ? [{ title: t('contracts.seller'), cell: (row: Invoice) => row.sellerName ?? '–', from: 'md' as const }]
      : []),
    { title: t('invoices.period'), cell: (row) => format.month(row.period), from: 'xs' },
    { title: t('common.state'), cell: (row) => <State value={row.state} />, from: 'sm' },
    { title: t('invoices.due'), cell: (row) => format.date(row.dueOn), number: true, from: 'md' },
    { title: t('common.total'), cell: (row) => format.money(row.total), number: true },
  ]
}

export function InvoicesScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const me = useMe()
  const may = useMay()
  const [running, dialog] = useDisclosure(false)
  return (
    <Page
      title={t('nav.invoices')}
      intro={t('invoices.intro')}
      actions={
        may.bill && (
          <Button leftSection={<IconPlayerPlay size={16} />} onClick={dialog.open}>
            {t('invoices.run')}
          </Button>
        )
      }
    >
      <Section>
        <ListTable<Invoice>
          path="/invoices"
          label={t('nav.invoices')}
          columns={invoiceColumns(t, format, me.party.kind !== 'customer', me.party.kind === 'operator')}
          rowKey={(row) => row.id}
          rowLink={(row) => `/invoices/${row.id}`}
          filters={[
            {
              name: 'state',
              label: t('common.state'),
              options: ['draft', 'issued', 'void'].map((value) => ({ value, label: t(`states.${value}`) })),
            },
          ]}
          empty={{ title: t('invoices.empty'), hint: t('invoices.emptyHint') }}
        />
      </Section>
      <Run opened={running} onClose={dialog.close} />
    </Page>
  )
}

function Run({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTranslation()
  const last = new Date()
  last.setDate(0)
  const [month, setMonth] = useState<string | null>(
    `${last.getFullYear()}-${String(last.getMonth() + 1).padStart(2, '0')}-01`,
  )
  const run = useChange(
    () => send<{ invoices: number }>('POST', '/billing-runs', { body: { period: month!.slice(0, 7) } }),
    {
      onDone: (answer) => {
        notifications.show({ message: t('invoices.ran', { count: answer.invoices }) })
        onClose()
      },
    },
  )
  return (
    <Modal opened={opened} onClose={onClose} title={t('invoices.run')}>
      <Stack>
        <Text size="sm">{t('invoices.runHint')}</Text>
        <MonthPickerInput label={t('invoices.period')} value={month} onChange={setMonth} maxDate={new Date()} />
        <ProblemNote problem={run.error} />
        <Button loading={run.isPending} disabled={!month} onClick={() => run.mutate(undefined)}>
          {t('invoices.run')}
        </Button>
      </Stack>
    </Modal>
  )
}

export function InvoiceScreen() {
  const { t, i18n } = useTranslation()
  const format = useFormat()
  const me = useMe()
  const may = useMay()
  const { invoice: id } = useParams({ strict: false }) as { invoice: string }
  const invoice = useOne<Invoice>(`/invoices/${id}`)
  const [opened, setOpened] = useState<InvoiceLine | null>(null)
  const act = useChange(
    (input: { invoice: Invoice; verb: 'issue' | 'void' }) =>
      send('POST', `/invoices/${input.invoice.id}/${input.verb}`, { body: {}, version: input.invoice.version }),
    {
      onDone: () => notifications.show({ message: t('invoices.done') }),
    },
  )
  return (
    <Loaded reading={invoice}>
      {(data) => {
        const mine = data.sellerId === me.party.id
        return (
          <Page
            title={data.number ? t('invoices.one', { number: data.number }) : t('invoices.draft')}
            trail={[{ label: t('nav.invoices'), to: '/invoices' }]}
            badge={<State value={data.state} />}
            actions={
              <>
                {may.bill && mine && data.state === 'draft' && (
                  <Button loading={act.isPending} onClick={() => act.mutate({ invoice: data, verb: 'issue' })}>
                    {t('invoices.issue')}
                  </Button>
                )}
                {may.bill && mine && data.state !== 'void' && (
                  <Button variant="light" color="red" onClick={() => act.mutate({ invoice: data, verb: 'void' })}>
                    {t('invoices.void')}
                  </Button>
                )}
                <Button
                  component="a"
                  href={`/api/v1/invoices/${data.id}/pdf?locale=${i18n.language}`}
                  variant="default"
                  leftSection={<IconDownload size={16} />}
                >
                  PDF
                </Button>
                <Button
                  variant="default"
                  leftSection={<IconPrinter size={16} />}
                  onClick={() => window.print()}
                  visibleFrom="sm"
                >
                  {t('common.print')}
                </Button>
              </>
            }
          >
            <ProblemNote problem={act.error} />
            <Card padding="xl">
              <Group justify="space-between" align="flex-start" mb="xl" gap="xl">
                <Box>
                  <Text size="sm" c="dimmed">
                    {t('invoices.to')}
                  </Text>
                  <Text fw={650} fz={18}>
                    {data.buyer?.name ?? data.partyName}
                  </Text>
                  <Text size="sm" style={{ whiteSpace: 'pre-line' }}>
                    {data.buyer?.address}
                  </Text>
                </Box>
                <Box>
                  <Text size="sm" c="dimmed">
                    {t('invoices.from')}
                  </Text>
                  <Text fw={600}>{data.seller?.name ?? data.sellerName}</Text>
                  <Text size="sm" style={{ whiteSpace: 'pre-line' }}>
                    {data.seller?.address}
                  </Text>
                  {data.seller?.taxRegistration && (
                    <Text size="sm" c="dimmed">
                      {t('invoices.registration', { number: data.seller.taxRegistration })}
                    </Text>
                  )}
                </Box>
                <Box>
                  <Text size="sm" c="dimmed">
                    {format.month(data.period)}
                  </Text>
                  <Text size="sm">
                    {t('invoices.issued')}: {format.date(data.issuedOn)}
                  </Text>
                  <Text size="sm">
                    {t('invoices.due')}: {format.date(data.dueOn)}
                  </Text>
                  <Title order={2} fz={26} mt={6} className="number" style={{ textAlign: 'left' }}>
                    {format.money(data.total)}
                  </Title>
                </Box>
              </Group>
              <RowsTable
                label={t('invoices.lines')}
                rows={data.lines ?? []}
                rowKey={(line) => line.line}
                columns={[
                  {
                    title: t('invoices.description'),
                    cell: (line) => (
                      <>
                        <Anchor component="button" type="button" size="sm" ta="left" onClick={() => setOpened(line)}>
                          {(i18n.language === 'ja' && line.descriptionJa) || line.description}
                        </Anchor>
                        <Text size="xs" c="dimmed">
                          {[line.contractNumber, t('invoices.services', { count: line.services })]
                            .filter(Boolean)
                            .join(' · ')}
                        </Text>
                      </>
                    ),
                  },
                  {
                    title: t('invoices.quantity'),
                    cell: (line) =>
                      line.quantity
                        ? `${format.number(Number(line.quantity))} ${format.unitTime(line.unit ?? '')}`
                        : '–',
                    number: true,
                    from: 'sm',
                  },
                  {
                    title: t('invoices.price'),
                    cell: (line) => (line.price ? format.price(line.price, data.currency) : '–'),
                    number: true,
                    from: 'sm',
                  },
                  {
                    title: t('invoices.tax'),
                    cell: (line) => format.percent(Number(line.taxPercent) / 100),
                    number: true,
                    from: 'md',
                  },
                  { title: t('invoices.amount'), cell: (line) => format.money(line.amount), number: true },
                ]}
              />
              <Group justify="flex-end" mt="lg">
                <Table w={360} withRowBorders={false} verticalSpacing={4}>
                  <Table.Tbody>
                    <Table.Tr>
                      <Table.Td>{t('invoices.subtotal')}</Table.Td>
                      <Table.Td className="number">{format.money(data.subtotal)}</Table.Td>
                    </Table.Tr>
                    {(data.taxes ?? []).map((tax) => (
                      <Table.Tr key={tax.code}>
                        <Table.Td>
                          {t('invoices.taxOn', {
                            percent: format.percent(Number(tax.percent) / 100),
                            base: format.money(tax.base),
                          })}
                        </Table.Td>
                        <Table.Td className="number">{format.money(tax.tax)}</Table.Td>
                      </Table.Tr>
                    ))}
                    <Table.Tr>
                      <Table.Td fw={700}>{t('common.total')}</Table.Td>
                      <Table.Td className="number" fw={700} fz={18}>
                        {format.money(data.total)}
                      </Table.Td>
                    </Table.Tr>
                  </Table.Tbody>
                </Table>
              </Group>
            </Card>
            {opened && <Explanation invoice={data} line={opened} onClose={() => setOpened(null)} />}
          </Page>
        )
      }}
    </Loaded>
  )
}

interface RatedCharge {
  serviceId: string
  serviceName?: string
  quantity: string | null
  price: string | null
  explanation: {
    /** `[from, to, units]` each. */
    stretches?: [string, string | null, number][]
    days?: [number, number]
    metered?: { rank?: number; present?: number; expected?: number; dropped?: number; at?: string | null }
    remaining?: unknown
  }
}

/** The arithmetic under one line: each service's share, and the readings it came from. */
function Explanation({ invoice, line, onClose }: { invoice: Invoice; line: InvoiceLine; onClose: () => void }) {
  const { t, i18n } = useTranslation()
  const format = useFormat()
  const charges = useOne<ApiPage<RatedCharge>>(`/invoices/${invoice.id}/lines/${line.line}`)
  return (
    <Modal
      opened
      onClose={onClose}
      title={(i18n.language === 'ja' && line.descriptionJa) || line.description}
      size="xl"
    >
      <Text size="sm" c="dimmed" mb="md">
        {t('invoices.explanationHint')}
      </Text>
      <Loaded reading={charges}>
        {(page) => (
          <Stack gap="sm">
            {page.items.slice(0, 100).map((charge) => (
              <Card key={charge.serviceId} padding="sm">
                <Group justify="space-between" wrap="nowrap" align="flex-start">
                  <Anchor component={Link} to={`/services/${charge.serviceId}`} size="sm" fw={500}>
                    {charge.serviceName ?? charge.serviceId}
                  </Anchor>
                  <Text size="sm" className="number">
                    {charge.quantity && format.number(Number(charge.quantity))} {format.unitTime(line.unit ?? '')}{' '}
                    {charge.price && `× ${format.price(charge.price, invoice.currency)}`}
                  </Text>
                </Group>
                <Stretches explanation={charge.explanation} />
              </Card>
            ))}
          </Stack>
        )}
      </Loaded>
    </Modal>
  )
}

/** From when until when how much was reserved. */
function Stretches({ explanation }: { explanation: RatedCharge['explanation'] }) {
  const { t } = useTranslation()
  const format = useFormat()
  return (
    <Table verticalSpacing={4} mt={6} fz="sm" withRowBorders={false}>
      <Table.Tbody>
        {(explanation.stretches ?? []).map(([from, to, units]) => (
          <Table.Tr key={`${from}${to}${units}`}>
            <Table.Td c="dimmed">
              {t('invoices.stretch', {
                from: format.dateTime(from),
                to: to ? format.dateTime(to) : t('common.openEnded'),
              })}
            </Table.Td>
            <Table.Td className="number">{format.number(units)}</Table.Td>
          </Table.Tr>
        ))}
        {explanation.days && (
          <Table.Tr>
            <Table.Td colSpan={2} c="dimmed">
              {t('invoices.days', { charged: explanation.days[0], all: explanation.days[1] })}
            </Table.Td>
          </Table.Tr>
        )}
        {explanation.metered?.rank !== undefined && (
          <Table.Tr>
            <Table.Td colSpan={2} c="dimmed">
              {t('invoices.percentile', {
                rank: format.number(explanation.metered.rank),
                present: format.number(explanation.metered.present ?? 0),
                expected: format.number(explanation.metered.expected ?? 0),
                dropped: format.number(explanation.metered.dropped ?? 0),
                at: explanation.metered.at ? format.dateTime(explanation.metered.at) : '–',
              })}
            </Table.Td>
          </Table.Tr>
        )}
        {explanation.remaining != null && (
          <Table.Tr>
            <Table.Td colSpan={2}>
              <Code block fz="xs">
                {JSON.stringify(explanation.remaining, null, 2)}
              </Code>
            </Table.Td>
          </Table.Tr>
        )}
      </Table.Tbody>
    </Table>
  )
}
