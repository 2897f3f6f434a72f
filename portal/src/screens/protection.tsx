import { Alert, Anchor, Button, Group, Modal, SimpleGrid, Stack, Table, Text } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { IconShieldCheck, IconShieldExclamation } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Page as ApiPage, send, useChange, useOne } from '../api.ts'
import { useFormat } from '../format.ts'
import { useMay, useMe } from '../me.tsx'
import { Empty, Loaded, ProblemNote } from '../parts/feedback.tsx'
import { Page, Section, State } from '../parts/page.tsx'
import { SiteName } from '../parts/site-name.tsx'
import { RowsTable, SearchableRows } from '../parts/table.tsx'
import type { FailOver } from '../types.ts'

interface Protection {
  unprotected: {
    claimId: string
    partyName?: string
    serviceId?: string
    serviceName?: string
    site: string
    reason: string
  }[]
  sites: {
    site: string
    name?: string
    protectedClaims?: number
    pools?: { kind: string; unit: string; standby: number; worstFailure: number; sum: number }[]
  }[]
}

/** Disaster recovery: what covers what, what is not covered, drills and real fail-overs. */
export function ProtectionScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const may = useMay()
  const operator = useMe().party.kind === 'operator'
  const protection = useOne<Protection>('/protection')
  const failOvers = useOne<ApiPage<FailOver>>(operator ? '/fail-overs' : null, {}, { refreshMs: 5_000 })
  const [asking, setAsking] = useState<{ site: string; mode: 'drill' | 'real' } | null>(null)
  const active = failOvers.data?.items.filter((failOver) => failOver.state === 'active') ?? []
  const end = useChange((id: string) => send<FailOver>('POST', `/fail-overs/${id}/end`), {
    onDone: () => notifications.show({ message: t('protection.ended') }),
  })
  return (
    <Page title={t('nav.protection')} intro={t('protection.intro')}>
      {active.map((failOver) => (
        <Alert
          key={failOver.id}
          color={failOver.mode === 'real' ? 'red' : 'yellow'}
          icon={<IconShieldExclamation />}
          title={t(`protection.active.${failOver.mode}`, { site: failOver.site })}
        >
          <Group justify="space-between">
            <Text size="sm">
              {t('protection.activeText', {
                count: failOver.activated,
                ms: format.number(failOver.durationMs ?? 0, 0),
                at: format.dateTime(failOver.startedAt),
              })}
            </Text>
            {may.operate && (
              <Button size="xs" color="dark" loading={end.isPending} onClick={() => end.mutate(failOver.id)}>
                {t(`protection.end.${failOver.mode}`)}
              </Button>
            )}
          </Group>
          <ProblemNote problem={end.error} />
        </Alert>
      ))}
      <Loaded reading={protection}>
        {(data) => (
          <>
            <SimpleGrid cols={{ base: 1, md: 2 }}>
              {data.sites.map((site) => (
                <Section
                  key={site.site}
                  title={site.name ?? site.site}
                  hint={t('protection.siteHint')}
                  aside={
                    may.operate && (
                      <Group gap="xs">
                        <Button size="xs" variant="light" onClick={() => setAsking({ site: site.site, mode: 'drill' })}>
                          {t('protection.drill')}
                        </Button>
                        <Button
                          size="xs"
                          variant="light"
                          color="red"
                          onClick={() => setAsking({ site: site.site, mode: 'real' })}
                        >
                          {t('protection.real')}
                        </Button>
                      </Group>
                    )
                  }
                >
                  {(site.pools ?? []).length === 0 ? (
                    <Text c="dimmed" size="sm">
                      {t('protection.noStandby')}
                    </Text>
                  ) : (
                    <Table aria-label={site.site}>
                      <Table.Thead>
                        <Table.Tr>
                          <Table.Th>{t('capacity.kind')}</Table.Th>
                          <Table.Th className="number">{t('protection.sum')}</Table.Th>
                          <Table.Th className="number">{t('protection.worst')}</Table.Th>
                        </Table.Tr>
                      </Table.Thead>
                      <Table.Tbody>
                        {site.pools!.map((pool) => (
                          <Table.Tr key={pool.kind}>
                            <Table.Td>{t(`kinds.${pool.kind}`, { defaultValue: pool.kind })}</Table.Td>
                            <Table.Td className="number">
                              {format.number(pool.sum ?? pool.standby)} {format.unit(pool.unit)}
                            </Table.Td>
                            <Table.Td className="number">
                              {format.number(pool.worstFailure)} {format.unit(pool.unit)}
                            </Table.Td>
                          </Table.Tr>
                        ))}
                      </Table.Tbody>
                    </Table>
                  )}
                </Section>
              ))}
            </SimpleGrid>
            <Section title={t('protection.unprotected')} hint={t('protection.unprotectedHint')}>
              {data.unprotected.length === 0 ? (
                <Group gap="xs">
                  <IconShieldCheck size={20} color="var(--mantine-color-teal-7)" />
                  <Text>{t('protection.allProtected')}</Text>
                </Group>
              ) : (
                <SearchableRows
                  label={t('protection.unprotected')}
                  words={(row) => `${row.partyName} ${row.serviceName} ${row.site}`}
                  rows={data.unprotected}
                  rowKey={(row) => `${row.claimId}${row.site}${row.reason}`}
                  columns={[
                    { title: t('common.customer'), cell: (row) => row.partyName ?? '–' },
                    {
                      title: t('common.service'),
                      cell: (row) =>
                        row.serviceId ? (
                          <Anchor component={Link} to={`/services/${row.serviceId}`} size="sm">
                            {row.serviceName}
                          </Anchor>
                        ) : (
                          (row.serviceName ?? '–')
                        ),
                    },
                    { title: t('common.site'), cell: (row) => <SiteName code={row.site} /> },
                    {
                      title: t('protection.reason'),
                      cell: (row) => t(`protection.reasons.${row.reason}`, { defaultValue: row.reason }),
                    },
                  ]}
                />
              )}
            </Section>
          </>
        )}
      </Loaded>
      {operator && (
        <Section title={t('protection.history')}>
          <Loaded reading={failOvers}>
            {(page) =>
              page.items.length === 0 ? (
                <Empty title={t('protection.historyEmpty')} hint={t('protection.historyHint')} />
              ) : (
                <RowsTable
                  label={t('protection.history')}
                  rows={page.items}
                  rowKey={(row) => row.id}
                  columns={[
                    { title: t('common.site'), cell: (row) => <SiteName code={row.site} /> },
                    { title: t('protection.mode'), cell: (row) => t(`protection.modes.${row.mode}`) },
                    { title: t('common.state'), cell: (row) => <State value={row.state} /> },
                    { title: t('common.from'), cell: (row) => format.dateTime(row.startedAt), from: 'sm' },
                    { title: t('common.to'), cell: (row) => format.dateTime(row.endedAt), from: 'md' },
                    { title: t('protection.activated'), cell: (row) => format.number(row.activated), number: true },
                    {
                      title: t('protection.took'),
                      cell: (row) => (row.durationMs === null ? '–' : `${format.number(row.durationMs, 0)} ms`),
                      number: true,
                      from: 'sm',
                    },
                  ]}
                />
              )
            }
          </Loaded>
        </Section>
      )}
      <Confirm asking={asking} onClose={() => setAsking(null)} />
    </Page>
  )
}

function Confirm({
  asking,
  onClose,
}: {
  asking: { site: string; mode: 'drill' | 'real' } | null
  onClose: () => void
}) {
  const { t } = useTranslation()
  const format = useFormat()
  const start = useChange(
    (input: { site: string; mode: string }) =>
      send<FailOver>('POST', `/sites/${input.site}/fail-over`, { body: { mode: input.mode } }),
    {
      onDone: (failOver) => {
        notifications.show({
          message: t('protection.started', {
            count: failOver.activated,
            ms: format.number(failOver.durationMs ?? 0, 0),
          }),
        })
        onClose()
      },
    },
  )
  if (!asking) return null
  return (
    <Modal opened onClose={onClose} title={t(`protection.ask.${asking.mode}`, { site: asking.site })}>
      <Stack>
        <Text size="sm">{t(`protection.askText.${asking.mode}`)}</Text>
        <ProblemNote problem={start.error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t('common.cancel')}
          </Button>
          <Button
            color={asking.mode === 'real' ? 'red' : undefined}
            loading={start.isPending}
            onClick={() => start.mutate(asking)}
          >
            {t(`protection.${asking.mode}`)}
          </Button>
        </Group>
      </Stack>
    </Modal>
  )
}
