/** How full a pool is, as a bar whose parts are what holds it; the figures stand beside it in words. */
import { Box, Group, Text, Tooltip } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { useFormat } from '../format.ts'
import { USE_COLOURS } from '../theme.ts'
import type { Pool } from '../types.ts'

export function UseBar({ pool, height = 8 }: { pool: Pool; height?: number }) {
  const { t } = useTranslation()
  const format = useFormat()
  const open = Math.max(pool.open * pool.oversubscription, pool.firm + pool.standby + pool.held, 1)
  const part = (value: number, colour: string) => (
    <Box h="100%" w={`${(100 * value) / open}%`} style={{ background: colour, minWidth: value > 0 ? 2 : 0 }} />
  )
  return (
    <Tooltip
      label={`${t('capacity.firm')} ${format.number(pool.firm)} · ${t('capacity.standby')} ${format.number(pool.standby)} · ${t('capacity.free')} ${format.number(pool.free)} ${format.unit(pool.unit)}`}
    >
      <Group
        gap={0}
        h={height}
        wrap="nowrap"
        style={{ background: '#e7ecf0', borderRadius: height, overflow: 'hidden' }}
      >
        {part(pool.firm, USE_COLOURS.firm)}
        {part(pool.standby, USE_COLOURS.standby)}
        {part(pool.held, USE_COLOURS.held)}
      </Group>
    </Tooltip>
  )
}

/** A pool in one line: its kind, its bar, and free of open. */
export function PoolLine({ pool }: { pool: Pool }) {
  const { t } = useTranslation()
  const format = useFormat()
  return (
    <Box>
      <Group justify="space-between" gap="xs" mb={3} wrap="nowrap">
        <Text size="sm" fw={500} truncate>
          {t(`kinds.${pool.kind}`, { defaultValue: pool.name })}
        </Text>
        <Text size="sm" c="dimmed" className="number">
          {t('capacity.freeOf', {
            free: format.number(pool.free, 0),
            open: format.number(pool.open, 0),
            unit: format.unit(pool.unit),
          })}
        </Text>
      </Group>
      <UseBar pool={pool} />
    </Box>
  )
}
