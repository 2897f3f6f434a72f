/** The frame of a screen: its heading, what one can do there, and the cards it is made of. */
import { Anchor, Badge, Box, Breadcrumbs, Card, Group, Stack, Text, Title } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { type ReactNode, useEffect } from 'react'
import { useTranslation } from 'react-i18next'

export function Page({
  title,
  intro,
  trail = [],
  actions,
  badge,
  children,
}: {
  title: string
  intro?: ReactNode
  trail?: { label: string; to: string }[]
  actions?: ReactNode
  badge?: ReactNode
  children: ReactNode
}) {
  useEffect(() => {
    document.title = `${title} · Izumi`
  }, [title])
  return (
    <Stack gap="lg" maw={1280} mx="auto" w="100%">
      <Box>
        {trail.length > 0 && (
          <Breadcrumbs mb={6} separatorMargin={6}>
            {trail.map((step) => (
              <Anchor component={Link} to={step.to} size="sm" key={step.to}>
                {step.label}
              </Anchor>
            ))}
          </Breadcrumbs>
        )}
        <Group justify="space-between" align="flex-start" gap="sm">
          <Box style={{ flex: '1 1 260px', minWidth: 0 }}>
            <Group gap="sm">
              <Title order={1} fz={{ base: 22, sm: 26 }}>
                {title}
              </Title>
              {badge}
            </Group>
            {intro && (
              <Text c="dimmed" mt={4} maw={760} component="div">
                {intro}
              </Text>
            )}
          </Box>
          {actions && (
            <Group gap="xs" className="no-print">
              {actions}
            </Group>
          )}
        </Group>
      </Box>
      {children}
    </Stack>
  )
}

export function Section({
  title,
  hint,
  aside,
  children,
}: {
  title?: string
  hint?: string
  aside?: ReactNode
  children: ReactNode
}) {
  return (
    <Card component="section">
      {(title || aside) && (
        <Group justify="space-between" mb="md" align="flex-start" gap="sm">
          <Box>
            {title && (
              <Title order={2} fz={17}>
                {title}
              </Title>
            )}
            {hint && (
              <Text size="sm" c="dimmed" maw={680}>
                {hint}
              </Text>
            )}
          </Box>
          {aside}
        </Group>
      )}
      {children}
    </Card>
  )
}

/** One figure that matters, with what it is and what to compare it with. */
export function Figure({
  label,
  value,
  note,
  to,
  tone,
}: {
  label: string
  value: ReactNode
  note?: ReactNode
  to?: string
  tone?: 'good' | 'bad'
}) {
  return (
    <Card padding="md" h="100%">
      <Text size="sm" c="dimmed" fw={500}>
        {to ? (
          <Anchor component={Link} to={to} inherit c="dimmed">
            {label}
          </Anchor>
        ) : (
          label
        )}
      </Text>
      <div className="figure">{value}</div>
      {note && (
        <Text size="sm" c={tone === 'good' ? 'teal.8' : tone === 'bad' ? 'red.7' : 'dimmed'} mt={2} component="div">
          {note}
        </Text>
      )}
    </Card>
  )
}

const TONES: Record<string, string> = {
  active: 'teal',
  completed: 'teal',
  issued: 'teal',
  open: 'teal',
  accepted: 'teal',
  committed: 'blue',
  waiting: 'yellow',
  pending: 'yellow',
  draft: 'yellow',
  held: 'violet',
  planned: 'gray',
  suspended: 'orange',
  failed: 'red',
  refused: 'red',
  disabled: 'red',
}

/** A state in the reader's words; the colour only repeats what the word says. */
export function State({ value }: { value: string }) {
  const { t } = useTranslation()
  return <Badge color={TONES[value] ?? 'gray'}>{t(`states.${value}`, { defaultValue: value })}</Badge>
}

/** Label and value pairs of a thing. */
export function Facts({ facts }: { facts: [label: string, value: ReactNode][] }) {
  return (
    <Box
      component="dl"
      m={0}
      style={{ display: 'grid', gridTemplateColumns: 'repeat(auto-fill, minmax(200px, 1fr))', gap: '14px 24px' }}
    >
      {facts.map(([label, value]) => (
        <Box key={label}>
          <Text component="dt" size="sm" c="dimmed">
            {label}
          </Text>
          <Text component="dd" m={0} fw={500} style={{ overflowWrap: 'anywhere' }}>
            {value ?? '–'}
          </Text>
        </Box>
      ))}
    </Box>
  )
}
