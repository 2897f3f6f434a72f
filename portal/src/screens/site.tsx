import {
  Anchor,
  Badge,
  Box,
  Button,
  Group,
  ScrollArea,
  Select,
  SimpleGrid,
  Stack,
  Table,
  Tabs,
  Text,
} from '@mantine/core'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useAll, useOne } from '../api.ts'
import { FloorView, partyColour, RackElevation } from '../charts/racks.tsx'
import { useFormat } from '../format.ts'
import { useMay } from '../me.tsx'
import { Empty, Loaded } from '../parts/feedback.tsx'
import { Page, Section, State } from '../parts/page.tsx'
import { PoolLine } from '../parts/use-bar.tsx'
import type { Rack, Site } from '../types.ts'
import { PoolChart } from './pool.tsx'
import { AddPool, AddRacks } from './site-forms.tsx'
import { useSiteName } from './sites.tsx'

export function SiteScreen() {
  const { t } = useTranslation()
  const { site: code } = useParams({ strict: false }) as { site: string }
  const siteName = useSiteName()
  const reading = useOne<Site>(`/sites/${code}`)
  const may = useMay()
  const [adding, setAdding] = useState<'pool' | 'racks' | null>(null)
  return (
    <Loaded reading={reading}>
      {(site) => (
        <Page
          title={siteName(site)}
          intro={site.address}
          trail={[{ label: t('nav.sites'), to: '/sites' }]}
          badge={site.failedAt && <Badge color="red">{t('sites.failed')}</Badge>}
          actions={
            may.operate && (
              <>
                <Button variant="default" onClick={() => setAdding('pool')}>
                  {t('sites.addPool')}
                </Button>
                {site.pools.some((pool) => pool.identified) && (
                  <Button variant="default" onClick={() => setAdding('racks')}>
                    {t('racks.add')}
                  </Button>
                )}
              </>
            )
          }
        >
          {adding === 'pool' && <AddPool site={site} onClose={() => setAdding(null)} />}
          {adding === 'racks' && <AddRacks site={site} onClose={() => setAdding(null)} />}
          <Tabs defaultValue="capacity" keepMounted={false}>
            <Tabs.List mb="lg">
              <Tabs.Tab value="capacity">{t('sites.capacity')}</Tabs.Tab>
              <Tabs.Tab value="steps">{t('steps.title')}</Tabs.Tab>
              <Tabs.Tab value="racks">{t('racks.title')}</Tabs.Tab>
            </Tabs.List>
            <Tabs.Panel value="capacity">
              <Capacity site={site} />
            </Tabs.Panel>
            <Tabs.Panel value="steps">
              <Steps site={site} />
            </Tabs.Panel>
            <Tabs.Panel value="racks">
              <Racks site={site} />
            </Tabs.Panel>
          </Tabs>
        </Page>
      )}
    </Loaded>
  )
}

function Capacity({ site }: { site: Site }) {
  const { t } = useTranslation()
  const [chosen, setChosen] = useState<number | null>(null)
  const pool =
    site.pools.find((candidate) => candidate.id === chosen) ??
    site.pools.find((candidate) => candidate.kind === 'rack-unit') ??
    site.pools[0]
  if (!pool) return <Empty title={t('sites.noPools')} />
  return (
    <SimpleGrid cols={{ base: 1, md: 1 }}>
      <Section
        title={t(`kinds.${pool.kind}`, { defaultValue: pool.name })}
        hint={t('capacity.hint')}
        aside={
          <Anchor component={Link} to={`/pools/${pool.id}`}>
            {t('common.open')}
          </Anchor>
        }
      >
        <PoolChart poolId={pool.id} />
      </Section>
      <Section title={t('capacity.pools')}>
        <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }} spacing="lg">
          {site.pools.map((candidate) => (
            <Box
              key={candidate.id}
              component="button"
              type="button"
              onClick={() => setChosen(candidate.id)}
              aria-pressed={candidate.id === pool.id}
              p="sm"
              style={{
                textAlign: 'left',
                font: 'inherit',
                cursor: 'pointer',
                background: candidate.id === pool.id ? 'var(--mantine-color-water-0)' : 'transparent',
                border: '1px solid var(--line)',
                borderRadius: 10,
              }}
            >
              <PoolLine pool={candidate} />
            </Box>
          ))}
        </SimpleGrid>
      </Section>
    </SimpleGrid>
  )
}

/** The table of a building's steps as a provider prints it: kinds down, steps across, the total last. */
function Steps({ site }: { site: Site }) {
  const { t } = useTranslation()
  const format = useFormat(site.timeZone)
  const kinds = site.pools.filter((pool) => site.steps.some((step) => step.quantities[pool.kind] !== undefined))
  if (site.steps.length === 0) return <Empty title={t('steps.empty')} />
  return (
    <Section title={t('steps.title')} hint={t('steps.hint')}>
      <ScrollArea type="auto">
        <Table aria-label={t('steps.title')}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('capacity.kind')}</Table.Th>
              {site.steps.map((step) => (
                <Table.Th key={`${step.effectiveAt}${step.state}`} className="number">
                  <Stack gap={2} align="flex-end">
                    <span>{step.label ?? format.date(step.effectiveAt)}</span>
                    <Text size="xs" c="dimmed">
                      {format.date(step.effectiveAt)}
                    </Text>
                    <State value={step.state} />
                  </Stack>
                </Table.Th>
              ))}
              <Table.Th className="number">{t('common.total')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {kinds.map((pool) => (
              <Table.Tr key={pool.id}>
                <Table.Th scope="row">
                  {t(`kinds.${pool.kind}`, { defaultValue: pool.name })}{' '}
                  <Text span size="xs" c="dimmed">
                    {format.unit(pool.unit)}
                  </Text>
                </Table.Th>
                {site.steps.map((step) => (
                  <Table.Td key={`${step.effectiveAt}${step.state}`} className="number">
                    {step.quantities[pool.kind] ? format.number(step.quantities[pool.kind]!) : '–'}
                  </Table.Td>
                ))}
                <Table.Td className="number" fw={700}>
                  {format.number(site.steps.reduce((sum, step) => sum + (step.quantities[pool.kind] ?? 0), 0))}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </ScrollArea>
    </Section>
  )
}

/** The row in which most different parties have something: the one most worth looking at first. */
function liveliest(racks: Rack[]): string | null {
  const parties = new Map<string, Set<string | null>>()
  for (const rack of racks) {
    const row = parties.get(rack.faultDomain ?? '') ?? new Set()
    for (const assignment of rack.assignments) row.add(assignment.partyId)
    parties.set(rack.faultDomain ?? '', row)
  }
  const [first] = [...parties].sort(([, a], [, b]) => b.size - a.size)
  return first && first[1].size > 0 ? first[0] : null
}

function Racks({ site }: { site: Site }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const racks = useAll<Rack>(`/sites/${site.code}/racks`, { kind: 'rack-unit' })
  const [row, setRow] = useState<string | null>(null)
  const [chosen, setChosen] = useState<number | null>(null)
  return (
    <Loaded reading={racks}>
      {(real) => {
        if (real.length === 0) return <Empty title={t('racks.none')} hint={t('racks.noneHint')} />
        const rows = [...new Set(real.map((rack) => rack.faultDomain ?? ''))]
        const current = row ?? liveliest(real) ?? rows[0]!
        const shown = real.filter((rack) => (rack.faultDomain ?? '') === current)
        const parties = new Map(
          shown.flatMap((rack) => rack.assignments).map((assignment) => [assignment.partyId, assignment.partyName]),
        )
        return (
          <Stack>
            <Section title={t('racks.floor')} hint={t('racks.floorHint')}>
              <FloorView
                racks={real}
                chosen={chosen}
                onChoose={(rack) => {
                  setChosen(rack.id)
                  setRow(rack.faultDomain ?? '')
                }}
              />
            </Section>
            <Section
              title={t('racks.elevations')}
              hint={t('racks.elevationsHint')}
              aside={
                <Select
                  aria-label={t('racks.row')}
                  data={rows.map((name) => ({ value: name, label: name || t('racks.noRow') }))}
                  value={current}
                  onChange={setRow}
                  allowDeselect={false}
                  searchable
                  w={180}
                />
              }
            >
              <ScrollArea type="auto" offsetScrollbars="x">
                <Group wrap="nowrap" align="flex-end" gap="md">
                  {shown.map((rack) => (
                    <Box
                      key={rack.id}
                      style={{
                        outline: rack.id === chosen ? '2px solid #c0392b' : undefined,
                        outlineOffset: 4,
                        borderRadius: 4,
                      }}
                    >
                      <RackElevation
                        rack={rack}
                        onPick={(assignment) =>
                          assignment.claimId &&
                          navigate({ to: '/services', search: { claim: assignment.claimId } as never })
                        }
                      />
                    </Box>
                  ))}
                </Group>
              </ScrollArea>
              <Group gap="md" mt="md">
                {[...parties].map(([id, name]) => (
                  <Group gap={6} key={id ?? 'other'}>
                    <Box w={12} h={12} style={{ background: partyColour(id), borderRadius: 3 }} aria-hidden />
                    {id ? (
                      <Anchor component={Link} to={`/parties/${id}`} size="sm">
                        {name}
                      </Anchor>
                    ) : (
                      <Text size="sm">{t('racks.taken')}</Text>
                    )}
                  </Group>
                ))}
              </Group>
            </Section>
          </Stack>
        )
      }}
    </Loaded>
  )
}
