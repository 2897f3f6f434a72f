/** What a screen shows while it waits, when there is nothing, and when something went wrong. */
import { Alert, Button, Center, Skeleton, Stack, Text, ThemeIcon } from '@mantine/core'
import { IconAlertTriangle, IconDropletOff } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Problem } from '../api.ts'

export function Loading({ lines = 6 }: { lines?: number }) {
  const { t } = useTranslation()
  return (
    <Stack gap="sm" role="status" aria-label={t('common.loading')}>
      {Array.from({ length: lines }, (_, line) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the lines are alike and never move
        <Skeleton key={line} height={18} width={`${100 - ((line * 13) % 40)}%`} radius="sm" />
      ))}
    </Stack>
  )
}

export function Empty({ title, hint, action }: { title: string; hint?: string; action?: ReactNode }) {
  return (
    <Center py={48}>
      <Stack align="center" gap="xs" maw={420}>
        <ThemeIcon variant="light" size={48} radius="xl" color="gray">
          <IconDropletOff size={26} stroke={1.5} />
        </ThemeIcon>
        <Text fw={600}>{title}</Text>
        {hint && (
          <Text size="sm" c="dimmed" ta="center">
            {hint}
          </Text>
        )}
        {action}
      </Stack>
    </Center>
  )
}

/** What the API said, in its own words, with each wrong field under it. */
export function ProblemNote({ problem, onRetry }: { problem: Error | null; onRetry?: () => void }) {
  const { t } = useTranslation()
  if (!problem) return null
  const fields = problem instanceof Problem ? problem.fields : []
  const code = problem instanceof Problem ? problem.code : 'unknown'
  const text = code === 'offline' ? t('common.offline') : problem.message
  const title = t(`problems.${code}`, { defaultValue: t('common.problem') })
  return (
    <Alert color="red" variant="light" icon={<IconAlertTriangle size={18} />} title={title} role="alert">
      <Text size="sm">{text}</Text>
      {fields.length > 1 && (
        <Stack gap={2} mt="xs">
          {fields.map((field) => (
            <Text size="sm" key={`${field.at}${field.problem}`}>
              <b>{field.at}</b> {field.problem} – {t('common.expected', { what: field.expected })}
            </Text>
          ))}
        </Stack>
      )}
      {onRetry && (
        <Button size="xs" variant="light" color="red" mt="sm" onClick={onRetry}>
          {t('common.retry')}
        </Button>
      )}
    </Alert>
  )
}

interface Reading<Data> {
  data: Data | undefined
  error: Error | null
  isPending: boolean
  refetch: () => unknown
}

/** Shows a thing once it is there, and what stands in its way until then. */
export function Loaded<Data>({
  reading,
  lines,
  children,
}: {
  reading: Reading<Data>
  lines?: number
  children: (data: Data) => ReactNode
}) {
  if (reading.data !== undefined) return <>{children(reading.data)}</>
  if (reading.error) return <ProblemNote problem={reading.error} onRetry={() => reading.refetch()} />
  return <Loading lines={lines} />
}
