import { Alert, Box, Button, Card, Checkbox, Divider, Grid, Group, Select, Stack, Text, TextInput } from '@mantine/core'
import { DateTimePicker } from '@mantine/dates'
import { useDebouncedValue } from '@mantine/hooks'
import { notifications } from '@mantine/notifications'
import { IconCheck, IconClock } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Page as ApiPage, type Problem, send, useChange, useOne } from '../api.ts'
import { useFormat } from '../format.ts'
import { useMe } from '../me.tsx'
import { ConfigForm } from '../parts/config-form.tsx'
import { Loaded, ProblemNote } from '../parts/feedback.tsx'
import { Page, Section } from '../parts/page.tsx'
import type { Estimate, Offering, Order, Party, Quote } from '../types.ts'

const iso = (local: string | null): string | undefined =>
  local ? new Date(local.replace(' ', 'T')).toISOString() : undefined

/** What is offered, what it takes, what it costs and whether it is free: then take it at once, or hold it by a quote. */
export function OrderFormScreen() {
  const { t, i18n } = useTranslation()
  const me = useMe()
  const navigate = useNavigate()
  const search = useSearch({ strict: false }) as { party?: string; contract?: string; offering?: string }
  const offerings = useOne<ApiPage<Offering>>('/offerings', { state: 'active' })
  const parties = useOne<ApiPage<Party>>(me.party.kind === 'customer' ? null : '/parties', { limit: 200 })
  const [code, setCode] = useState<string | null>(search.offering ?? null)
  const [party, setParty] = useState<string | null>(search.party ?? (me.party.kind === 'customer' ? me.party.id : null))
  const [config, setConfig] = useState<Record<string, unknown>>({})
  const [name, setName] = useState('')
  const [from, setFrom] = useState<string | null>(null)
  const [to, setTo] = useState<string | null>(null)
  const [wait, setWait] = useState(false)
  const offering = offerings.data?.items.find((candidate) => candidate.code === code) ?? offerings.data?.items[0]
  const choice = useMemo(() => ({ ...offering?.defaults, ...config }), [offering, config])
  const request = {
    offering: offering?.code,
    config: choice,
    ...(party ? { party } : {}),
    ...(from ? { from: iso(from) } : {}),
    ...(to ? { to: iso(to) } : {}),
  }
  const [settled] = useDebouncedValue(JSON.stringify(request), 300)
  const complete = offering !== undefined && choice.site !== undefined && Object.keys(config).length > 1
  const estimate = useQuery<Estimate, Problem>({
    queryKey: ['/estimates', settled],
    queryFn: () => send<Estimate>('POST', '/estimates', { body: JSON.parse(settled) }),
    enabled: complete,
    placeholderData: (previous) => previous,
  })
  const order = useChange(
    () =>
      send<Order>('POST', '/orders', {
        body: {
          ...request,
          ...(name ? { name } : {}),
          ...(search.contract ? { contract: search.contract } : {}),
          ...(wait ? { wait: { until: new Date(Date.now() + 30 * 86_400_000).toISOString() } } : {}),
        },
      }),
    {
      onDone: (answer) => {
        notifications.show({
          color: 'teal',
          message: t(answer.state === 'waiting' ? 'orderForm.waiting' : 'orderForm.done', { number: answer.number }),
        })
        void navigate({ to: answer.serviceId ? `/services/${answer.serviceId}` : '/orders' })
      },
    },
  )
  const quote = useChange(() => send<Quote>('POST', '/quotes', { body: { ...request, validForHours: 72 } }), {
    onDone: (answer) => {
      notifications.show({ color: 'teal', message: t('orderForm.quoted', { number: answer.number }) })
      void navigate({ to: '/quotes' })
    },
  })
  const words = (item: Offering) => ({
    name: (i18n.language === 'ja' && item.nameJa) || item.name,
    description: (i18n.language === 'ja' && item.descriptionJa) || item.description,
  })
  return (
    <Page title={t('orderForm.title')} intro={t('orderForm.intro')}>
      <Loaded reading={offerings}>
        {(page) => (
          <Grid gap="lg" align="flex-start">
            <Grid.Col span={{ base: 12, md: 8 }}>
              <Stack gap="lg">
                <Section>
                  <Stack>
                    {me.party.kind !== 'customer' && (
                      <Select
                        label={t('common.customer')}
                        required
                        searchable
                        data={(parties.data?.items ?? [])
                          .filter((candidate) => candidate.kind !== 'operator')
                          .map((candidate) => ({ value: candidate.id, label: candidate.name }))}
                        value={party}
                        onChange={setParty}
                      />
                    )}
                    <Select
                      label={t('offerings.offering')}
                      data={page.items.map((item) => ({ value: item.code, label: words(item).name }))}
                      value={offering?.code ?? null}
                      onChange={(value) => {
                        setCode(value)
                        setConfig({})
                      }}
                      allowDeselect={false}
                    />
                    {offering && (
                      <Text size="sm" c="dimmed">
                        {words(offering).description}
                      </Text>
                    )}
                  </Stack>
                </Section>
                {offering && (
                  <Section title={t('orderForm.what')}>
                    <ConfigForm
                      schema={offering.configSchema}
                      value={choice}
                      onChange={setConfig}
                      period={{ from: iso(from), to: iso(to) }}
                    />
                  </Section>
                )}
                <Section title={t('orderForm.when')} hint={t('orderForm.whenHint')}>
                  <Group grow align="flex-start">
                    <DateTimePicker
                      label={t('common.from')}
                      placeholder={t('services.now')}
                      clearable
                      value={from}
                      onChange={setFrom}
                    />
                    <DateTimePicker
                      label={t('common.to')}
                      placeholder={t('common.openEnded')}
                      clearable
                      value={to}
                      onChange={setTo}
                    />
                  </Group>
                  <TextInput
                    label={t('orderForm.name')}
                    description={t('orderForm.nameHint')}
                    mt="md"
                    value={name}
                    onChange={(event) => setName(event.currentTarget.value)}
                  />
                </Section>
              </Stack>
            </Grid.Col>
            <Grid.Col span={{ base: 12, md: 4 }}>
              <Box style={{ position: 'sticky', top: 76 }}>
                <Summary
                  estimate={complete ? estimate.data : undefined}
                  problem={complete ? estimate.error : null}
                  footer={
                    <Stack gap="sm">
                      {estimate.data && !estimate.data.available && (
                        <Checkbox
                          label={t('orderForm.wait')}
                          checked={wait}
                          onChange={(event) => setWait(event.currentTarget.checked)}
                        />
                      )}
                      <ProblemNote problem={order.error ?? quote.error} />
                      <Button
                        size="md"
                        loading={order.isPending}
                        disabled={!complete || (me.party.kind !== 'customer' && !party)}
                        onClick={() => order.mutate(undefined)}
                      >
                        {t(wait ? 'orderForm.join' : 'orderForm.take')}
                      </Button>
                      <Button
                        variant="default"
                        loading={quote.isPending}
                        disabled={!complete || (me.party.kind !== 'customer' && !party)}
                        onClick={() => quote.mutate(undefined)}
                      >
                        {t('orderForm.quote')}
                      </Button>
                    </Stack>
                  }
                />
              </Box>
            </Grid.Col>
          </Grid>
        )}
      </Loaded>
    </Page>
  )
}

function Summary({
  estimate,
  problem,
  footer,
}: {
  estimate: Estimate | undefined
  problem: Error | null
  footer: React.ReactNode
}) {
  const { t, i18n } = useTranslation()
  const format = useFormat()
  return (
    <Card>
      <Stack gap="sm">
        <Text fw={650}>{t('orderForm.summary')}</Text>
        {!estimate && !problem && (
          <Text size="sm" c="dimmed">
            {t('orderForm.choose')}
          </Text>
        )}
        <ProblemNote problem={problem} />
        {estimate && (
          <>
            {estimate.charges.map((charge) => (
              <Group key={charge.line} justify="space-between" wrap="nowrap" align="flex-start">
                <Box>
                  <Text size="sm">{(i18n.language === 'ja' && charge.nameJa) || charge.name}</Text>
                  {charge.kind === 'unit' && (
                    <Text size="xs" c="dimmed">
                      {format.number(charge.quantity)} × {format.price(charge.price, charge.amount.currency)}{' '}
                      {t(`offerings.per.${charge.per}`)}
                    </Text>
                  )}
                </Box>
                <Text size="sm" className="number">
                  {format.money(charge.amount)}
                </Text>
              </Group>
            ))}
            <Divider />
            <Group justify="space-between">
              <Text fw={600}>{t('orderForm.monthly')}</Text>
              <Text fw={700} fz={20} className="number" data-testid="monthly">
                {format.money(estimate.monthly)}
              </Text>
            </Group>
            <Group justify="space-between">
              <Text size="sm" c="dimmed">
                {t('orderForm.setup')}
              </Text>
              <Text size="sm" className="number">
                {format.money(estimate.setup)}
              </Text>
            </Group>
            <Text size="xs" c="dimmed">
              {t('orderForm.beforeTax')}
            </Text>
            {estimate.available ? (
              <Alert color="teal" variant="light" p="xs" icon={<IconCheck size={18} />}>
                {t('orderForm.available')}
              </Alert>
            ) : (
              <Alert color="yellow" variant="light" p="xs" icon={<IconClock size={18} />}>
                {t('orderForm.notAvailable')}
                {estimate.shortOf.map((short) => (
                  <Text size="xs" key={`${short.site}${short.kind}`}>
                    {short.site} · {t(`kinds.${short.kind}`, { defaultValue: short.kind })}:{' '}
                    {t('orderForm.short', { asked: format.number(short.asked), free: format.number(short.free) })}
                  </Text>
                ))}
              </Alert>
            )}
          </>
        )}
        {footer}
      </Stack>
    </Card>
  )
}
