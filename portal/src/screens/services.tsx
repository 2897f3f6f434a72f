import { Alert, Anchor, Badge, Button, Code, Group, Modal, Spoiler, Stack, Text, Timeline } from '@mantine/core'
import { DateTimePicker } from '@mantine/dates'
import { notifications } from '@mantine/notifications'
import { Link, useParams, useSearch } from '@tanstack/react-router'
import type { TFunction } from 'i18next'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { send, useChange, useOne } from '../api.ts'
import { type Format, useFormat } from '../format.ts'
import { useMay, useMe } from '../me.tsx'
import { ConfigForm } from '../parts/config-form.tsx'
import { Loaded, ProblemNote } from '../parts/feedback.tsx'
import { Facts, Page, Section, State } from '../parts/page.tsx'
import { SiteName } from '../parts/site-name.tsx'
import { type Column, ListTable, RowsTable } from '../parts/table.tsx'
import type { Amendment, Claim, Offering, Service } from '../types.ts'

export function serviceColumns(t: TFunction, format: Format, withParty: boolean): Column<Service>[] {
  return [
    {
      title: t('common.service'),
      cell: (row) => (
        <Anchor component={Link} to={`/services/${row.id}`} size="sm" fw={500}>
          {row.name}
        </Anchor>
      ),
    },
    ...(withParty ? [{ title: t('common.customer'), cell: (row: Service) => row.partyName }] : []),
    { title: t('common.site'), cell: (row) => <SiteName code={row.config.site as string} />, from: 'sm' },
    { title: t('common.state'), cell: (row) => <State value={row.state} /> },
    { title: t('common.from'), cell: (row) => format.date(row.startsAt), number: true, from: 'sm' },
    {
      title: t('common.to'),
      cell: (row) => (row.endsAt ? format.date(row.endsAt) : t('common.openEnded')),
      number: true,
      from: 'md',
    },
  ]
}

const STATES = ['pending', 'active', 'suspended', 'terminated']

export function ServicesScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const me = useMe()
  const { claim } = useSearch({ strict: false }) as { claim?: string }
  return (
    <Page title={t('nav.services')} intro={t('services.intro')}>
      <Section>
        <ListTable<Service>
          path="/services"
          query={{ claim }}
          label={t('nav.services')}
          columns={serviceColumns(t, format, me.party.kind !== 'customer')}
          rowKey={(row) => row.id}
          rowLink={(row) => `/services/${row.id}`}
          filters={[
            {
              name: 'state',
              label: t('common.state'),
              options: STATES.map((value) => ({ value, label: t(`states.${value}`) })),
            },
          ]}
          empty={{ title: t('services.empty'), hint: t('services.emptyHint') }}
        />
      </Section>
    </Page>
  )
}

export function ServiceScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const may = useMay()
  const { service: id } = useParams({ strict: false }) as { service: string }
  const service = useOne<Service>(`/services/${id}`)
  const [asking, setAsking] = useState<Step | 'change' | null>(null)
  return (
    <Loaded reading={service}>
      {(data) => (
        <Page
          title={data.name}
          trail={[{ label: t('nav.services'), to: '/services' }]}
          badge={<State value={data.state} />}
          actions={
            may.order &&
            data.state !== 'terminated' && (
              <>
                <Button onClick={() => setAsking('change')}>{t('services.change')}</Button>
                {data.state === 'suspended' ? (
                  <Button variant="default" onClick={() => setAsking('resume')}>
                    {t('services.resume')}
                  </Button>
                ) : (
                  <Button variant="default" onClick={() => setAsking('suspend')}>
                    {t('services.suspend')}
                  </Button>
                )}
                <Button variant="light" color="red" onClick={() => setAsking('terminate')}>
                  {t('services.terminate')}
                </Button>
              </>
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
                [
                  t('contracts.contract'),
                  <Anchor component={Link} to={`/contracts/${data.contractId}`} key="contract">
                    {data.contractNumber}
                  </Anchor>,
                ],
                [t('offerings.offering'), data.offeringName],
                [t('common.site'), <SiteName code={data.config.site as string} key="site" />],
                [t('common.from'), format.dateTime(data.startsAt)],
                [t('common.to'), data.endsAt ? format.dateTime(data.endsAt) : t('common.openEnded')],
              ]}
            />
          </Section>
          <Section title={t('services.capacity')} hint={t('services.capacityHint')}>
            {data.claim ? <ClaimLines claim={data.claim} /> : <Text c="dimmed">–</Text>}
          </Section>
          <Section title={t('amendments.title')} hint={t('amendments.hint')}>
            <Amendments amendments={data.amendments ?? []} />
          </Section>
          {asking === 'change' && <ChangeService service={data} onClose={() => setAsking(null)} />}
          {asking && asking !== 'change' && <StepDialog service={data} step={asking} onClose={() => setAsking(null)} />}
        </Page>
      )}
    </Loaded>
  )
}

/** What a claim holds now and later; what it held before is in the amendments and invoices. */
function ClaimLines({ claim }: { claim: Claim }) {
  const { t } = useTranslation()
  const format = useFormat()
  const current = claim.lines.filter((line) => line.to === null || Date.parse(line.to) > Date.now())
  const rows = current.length > 0 ? current : claim.lines
  return (
    <RowsTable
      label={t('services.capacity')}
      rows={rows}
      rowKey={(line) => line.line}
      columns={[
        { title: t('common.site'), cell: (line) => <SiteName code={line.site} /> },
        { title: t('capacity.kind'), cell: (line) => t(`kinds.${line.kind}`, { defaultValue: line.kind }) },
        {
          title: t('capacity.amount'),
          cell: (line) => `${format.number(line.quantity)} ${format.unit(line.unit)}`,
          number: true,
        },
        {
          title: t('capacity.type'),
          cell: (line) => (
            <Group gap={6}>
              {t(`capacity.${line.type === 'hold' ? 'held' : line.type}`)}
              {line.protects && (
                <Text size="xs" c="dimmed">
                  {t('protection.covers', { site: line.protects })}
                </Text>
              )}
              {line.unprotected && <Badge color="red">{t('protection.notProtected')}</Badge>}
            </Group>
          ),
          from: 'sm',
        },
        {
          title: t('capacity.place'),
          cell: (line) =>
            line.assignments
              .map(
                (assignment) =>
                  `${assignment.container} ${assignment.start}–${assignment.start + assignment.length - 1}`,
              )
              .join(', ') || '–',
          from: 'sm',
        },
        { title: t('common.from'), cell: (line) => format.date(line.from), number: true, from: 'md' },
        {
          title: t('common.to'),
          cell: (line) => (line.to ? format.date(line.to) : t('common.openEnded')),
          number: true,
          from: 'md',
        },
      ]}
    />
  )
}

export function Amendments({ amendments }: { amendments: Amendment[] }) {
  const { t } = useTranslation()
  const format = useFormat()
  if (amendments.length === 0) return <Text c="dimmed">{t('amendments.empty')}</Text>
  return (
    <Timeline bulletSize={14} lineWidth={2} active={amendments.length}>
      {amendments.map((amendment) => (
        <Timeline.Item key={amendment.id} title={t(`amendments.kinds.${amendment.kind}`)}>
          <Text size="sm" c="dimmed">
            {format.dateTime(amendment.effectiveAt)}
          </Text>
          {amendment.after != null && (
            <Spoiler maxHeight={0} showLabel={t('amendments.show')} hideLabel={t('amendments.hide')} fz="sm">
              <Code block>{JSON.stringify({ before: amendment.before, after: amendment.after }, null, 2)}</Code>
            </Spoiler>
          )}
        </Timeline.Item>
      ))}
    </Timeline>
  )
}

type Step = 'suspend' | 'resume' | 'terminate'

/** Suspend, resume or terminate: now, or at a time to come. */
function StepDialog({ service, step, onClose }: { service: Service; step: Step; onClose: () => void }) {
  const { t } = useTranslation()
  const [at, setAt] = useState<string | null>(null)
  const run = useChange(
    () =>
      send('POST', `/services/${service.id}/${step}`, {
        body: at ? { at: new Date(at.replace(' ', 'T')).toISOString() } : {},
        version: service.version,
      }),
    {
      onDone: () => {
        notifications.show({ message: t(`services.done.${step}`) })
        onClose()
      },
    },
  )
  return (
    <Modal opened onClose={onClose} title={t(`services.ask.${step}`, { name: service.name })}>
      <Stack>
        <Text size="sm">{t(`services.askText.${step}`)}</Text>
        <DateTimePicker
          label={t('services.when')}
          placeholder={t('services.now')}
          clearable
          value={at}
          onChange={setAt}
          minDate={new Date()}
        />
        <ProblemNote problem={run.error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t('common.cancel')}
          </Button>
          <Button
            color={step === 'terminate' ? 'red' : undefined}
            loading={run.isPending}
            onClick={() => run.mutate(undefined)}
          >
            {t(`services.${step}`)}
          </Button>
        </Group>
      </Stack>
    </Modal>
  )
}

/** Grow, shrink or move: the form of the order again, at once or at a time to come. */
function ChangeService({ service, onClose }: { service: Service; onClose: () => void }) {
  const { t } = useTranslation()
  const offering = useOne<Offering>(`/offerings/${service.offering}`)
  const [config, setConfig] = useState<Record<string, unknown>>(service.config)
  const [at, setAt] = useState<string | null>(null)
  const run = useChange(
    () =>
      send('PATCH', `/services/${service.id}`, {
        body: { config, ...(at ? { at: new Date(at.replace(' ', 'T')).toISOString() } : {}) },
        version: service.version,
      }),
    {
      onDone: () => {
        notifications.show({ message: t('services.done.change') })
        onClose()
      },
    },
  )
  return (
    <Modal opened onClose={onClose} title={t('services.ask.change', { name: service.name })} size="lg">
      <Loaded reading={offering}>
        {(data) => (
          <Stack>
            <Alert variant="light">{t('services.askText.change')}</Alert>
            <ConfigForm schema={data.configSchema} value={config} onChange={setConfig} />
            <DateTimePicker
              label={t('services.when')}
              placeholder={t('services.now')}
              clearable
              value={at}
              onChange={setAt}
              minDate={new Date()}
            />
            <ProblemNote problem={run.error} />
            <Group justify="flex-end">
              <Button variant="default" onClick={onClose}>
                {t('common.cancel')}
              </Button>
              <Button loading={run.isPending} onClick={() => run.mutate(undefined)}>
                {t('services.change')}
              </Button>
            </Group>
          </Stack>
        )}
      </Loaded>
    </Modal>
  )
}
