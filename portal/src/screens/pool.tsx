import { Button, Group, Modal, NumberInput, SegmentedControl, Select, Stack, TextInput } from '@mantine/core'
import { DateInput } from '@mantine/dates'
import { useDisclosure } from '@mantine/hooks'
import { notifications } from '@mantine/notifications'
import { IconPlus } from '@tabler/icons-react'
import { useParams } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Page as ApiPage, send, useChange, useOne } from '../api.ts'
import { CapacityChart } from '../charts/capacity.tsx'
import { useFormat } from '../format.ts'
import { useMay, useMe } from '../me.tsx'
import { Empty, Loaded, ProblemNote } from '../parts/feedback.tsx'
import { Facts, Page, Section, State } from '../parts/page.tsx'
import { RowsTable } from '../parts/table.tsx'
import type { Forecast, Site, Skyline, Step } from '../types.ts'

const DAY_MS = 86_400_000

/** Windows the chart can show, in days back and ahead of today. */
const WINDOWS = { month: [7, 31], year: [180, 365], years: [365, 1_460] } as const

/** Supply, use and forecast of one pool, for the window the reader picks. */
export function PoolChart({ poolId }: { poolId: number }) {
  const { t } = useTranslation()
  const [span, setSpan] = useState<keyof typeof WINDOWS>('year')
  const operator = useMe().party.kind === 'operator'
  const range = useMemo(() => {
    const [back, ahead] = WINDOWS[span]
    const today = Math.floor(Date.now() / DAY_MS) * DAY_MS
    return { from: new Date(today - back * DAY_MS).toISOString(), to: new Date(today + ahead * DAY_MS).toISOString() }
  }, [span])
  const skyline = useOne<Skyline>(`/pools/${poolId}/skyline`, { ...range, buckets: 600 })
  const forecast = useOne<Forecast>(operator ? `/pools/${poolId}/forecast` : null)
  const shown = useMemo(
    () => (forecast.data?.points ?? []).filter((point) => point.at >= range.from && point.at <= range.to),
    [forecast.data, range],
  )
  return (
    <Stack gap="xs">
      <Group justify="flex-end" className="no-print">
        <SegmentedControl
          size="xs"
          value={span}
          onChange={(value) => setSpan(value as keyof typeof WINDOWS)}
          data={Object.keys(WINDOWS).map((name) => ({ value: name, label: t(`capacity.window.${name}`) }))}
        />
      </Group>
      <Loaded reading={skyline} lines={8}>
        {(data) => <CapacityChart points={data.points} to={data.to} unit={data.unit} forecast={shown} />}
      </Loaded>
    </Stack>
  )
}

export function PoolScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const { pool: id } = useParams({ strict: false }) as { pool: string }
  const may = useMay()
  const sites = useOne<ApiPage<Site>>('/sites')
  const steps = useOne<ApiPage<Step>>(`/pools/${id}/steps`)
  const forecast = useOne<Forecast>(useMe().party.kind === 'operator' ? `/pools/${id}/forecast` : null)
  const [adding, dialog] = useDisclosure(false)
  return (
    <Loaded reading={sites}>
      {(page) => {
        const site = page.items.find((candidate) => candidate.pools.some((pool) => String(pool.id) === id))
        const pool = site?.pools.find((candidate) => String(candidate.id) === id)
        if (!site || !pool) return <Empty title={t('common.notHere')} hint={t('common.notHereHint')} />
        const name = t(`kinds.${pool.kind}`, { defaultValue: pool.name })
        return (
          <Page
            title={`${site.name} · ${name}`}
            trail={[
              { label: t('nav.sites'), to: '/sites' },
              { label: site.name, to: `/sites/${site.code}` },
            ]}
            actions={
              may.operate && (
                <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>
                  {t('steps.add')}
                </Button>
              )
            }
          >
            <Section>
              <Facts
                facts={[
                  [t('capacity.open'), `${format.number(pool.open)} ${format.unit(pool.unit)}`],
                  [t('capacity.firm'), format.number(pool.firm)],
                  [t('capacity.standby'), format.number(pool.standby)],
                  [t('capacity.free'), format.number(pool.free)],
                  [t('capacity.oversubscription'), `${format.number(pool.oversubscription)} ×`],
                  [
                    t('forecasts.runsOutAt'),
                    forecast.data?.runsOutAt ? format.date(forecast.data.runsOutAt) : t('forecasts.notInSight'),
                  ],
                  [t('forecasts.commitBy'), forecast.data?.commitBy ? format.date(forecast.data.commitBy) : '–'],
                ]}
              />
            </Section>
            <Section title={t('capacity.title')} hint={t('capacity.hint')}>
              <PoolChart poolId={pool.id} />
            </Section>
            <Section title={t('steps.title')} hint={t('steps.hint')}>
              <Loaded reading={steps}>
                {(list) =>
                  list.items.length === 0 ? (
                    <Empty title={t('steps.empty')} />
                  ) : (
                    <RowsTable
                      label={t('steps.title')}
                      rows={list.items}
                      rowKey={(step) => step.id}
                      columns={[
                        { title: t('steps.effectiveAt'), cell: (step) => format.date(step.effectiveAt) },
                        { title: t('common.state'), cell: (step) => <State value={step.state} /> },
                        { title: t('steps.quantity'), cell: (step) => format.number(step.quantity), number: true },
                        {
                          title: t('steps.cost'),
                          cell: (step) => (step.cost ? format.money(step.cost) : '–'),
                          number: true,
                          from: 'sm',
                        },
                        {
                          title: t('steps.leadTime'),
                          cell: (step) => t('common.days', { count: step.leadTimeDays }),
                          number: true,
                          from: 'sm',
                        },
                        { title: t('steps.note'), cell: (step) => step.note ?? '', from: 'md' },
                      ]}
                    />
                  )
                }
              </Loaded>
            </Section>
            <AddStep poolId={pool.id} unit={format.unit(pool.unit)} opened={adding} onClose={dialog.close} />
          </Page>
        )
      }}
    </Loaded>
  )
}

function AddStep({
  poolId,
  unit,
  opened,
  onClose,
}: {
  poolId: number
  unit: string
  opened: boolean
  onClose: () => void
}) {
  const { t } = useTranslation()
  const [date, setDate] = useState<string | null>(null)
  const [quantity, setQuantity] = useState<number | string>('')
  const [state, setState] = useState('planned')
  const [leadTimeDays, setLeadTime] = useState<number | string>(180)
  const [note, setNote] = useState('')
  const add = useChange(
    () =>
      send('POST', `/pools/${poolId}/steps`, {
        body: {
          effectiveAt: `${date}T00:00:00.000Z`,
          quantity: Number(quantity),
          state,
          leadTimeDays: Number(leadTimeDays),
          ...(note ? { note } : {}),
        },
      }),
    {
      onDone: () => {
        notifications.show({ message: t('steps.added') })
        onClose()
      },
    },
  )
  return (
    <Modal opened={opened} onClose={onClose} title={t('steps.add')}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          add.mutate(undefined)
        }}
      >
        <Stack>
          <DateInput label={t('steps.effectiveAt')} required value={date} onChange={setDate} />
          <NumberInput
            label={t('steps.quantity')}
            description={t('steps.quantityHint')}
            required
            value={quantity}
            onChange={setQuantity}
            suffix={` ${unit}`}
            thousandSeparator
          />
          <Select
            label={t('common.state')}
            data={['planned', 'committed', 'open'].map((value) => ({ value, label: t(`states.${value}`) }))}
            value={state}
            onChange={(value) => value && setState(value)}
            allowDeselect={false}
          />
          <NumberInput label={t('steps.leadTime')} min={0} value={leadTimeDays} onChange={setLeadTime} />
          <TextInput label={t('steps.note')} value={note} onChange={(event) => setNote(event.currentTarget.value)} />
          <ProblemNote problem={add.error} />
          <Button type="submit" loading={add.isPending} disabled={!date}>
            {t('steps.add')}
          </Button>
        </Stack>
      </form>
    </Modal>
  )
}
