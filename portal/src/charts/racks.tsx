/**
 * Racks as one sees them: elevations with unit 1 at the floor, and the room from above with each rack as full as it is.
 * A colour stands for a party; the name is written beside it, so the colour carries nothing alone.
 */
import { Box, Text, Tooltip } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { Assignment, Rack } from '../types.ts'

/** The same party has the same colour everywhere. */
export function partyColour(partyId: string | null): string {
  if (!partyId) return '#9fb0bc'
  // Multiplied by the golden ratio, neighbours land far apart on the wheel.
  let hash = 0
  for (const character of partyId) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) >>> 0
  const turn = (hash * 0.618_033_988_75) % 1
  return `hsl(${Math.round(turn * 360)} ${46 + (hash % 3) * 9}% ${34 + ((hash >>> 3) % 3) * 6}%)`
}

const slotsUsed = (rack: Rack): number => rack.assignments.reduce((sum, assignment) => sum + assignment.length, 0)

const UNIT = 9
const WIDTH = 104
const GUTTER = 22

export function RackElevation({ rack, onPick }: { rack: Rack; onPick?: (assignment: Assignment) => void }) {
  const { t } = useTranslation()
  const height = rack.slots * UNIT
  const y = (assignment: Assignment) => height - (assignment.start - 1 + assignment.length) * UNIT
  return (
    <Box>
      <Text size="sm" fw={600} ta="center">
        {rack.name}
      </Text>
      <Text size="xs" c="dimmed" ta="center" mb={4}>
        {t('racks.used', { used: slotsUsed(rack), slots: rack.slots })}
      </Text>
      <svg
        width={WIDTH + GUTTER + 8}
        height={height + 8}
        role="img"
        aria-label={`${rack.name}: ${rack.assignments.map((assignment) => `${assignment.start}–${assignment.start + assignment.length - 1} ${assignment.partyName ?? ''}`).join(', ') || t('racks.empty')}`}
      >
        <rect x={GUTTER} y={0} width={WIDTH + 4} height={height + 4} rx={3} fill="#2b3a45" />
        <rect x={GUTTER + 2} y={2} width={WIDTH} height={height} fill="#eef2f5" />
        {Array.from({ length: rack.slots }, (_, index) => index + 1).map((unit) => (
          <g key={unit}>
            <line
              x1={GUTTER + 2}
              x2={GUTTER + 2 + WIDTH}
              y1={2 + height - unit * UNIT}
              y2={2 + height - unit * UNIT}
              stroke="#dbe3e9"
              strokeWidth={0.6}
            />
            {(unit === 1 || unit % 6 === 0) && (
              <text x={GUTTER - 4} y={2 + height - unit * UNIT + UNIT - 2} fontSize={8} textAnchor="end" fill="#566673">
                {unit}
              </text>
            )}
          </g>
        ))}
        {rack.assignments.map((assignment) => (
          <Tooltip
            key={`${assignment.claimId}-${assignment.start}`}
            label={`${assignment.partyName ?? t('racks.taken')} · ${assignment.serviceName ?? ''} · U${assignment.start}–${assignment.start + assignment.length - 1}`}
          >
            {/* biome-ignore lint/a11y/noStaticElementInteractions: the same services are listed below the racks as links */}
            <g
              onClick={onPick ? () => onPick(assignment) : undefined}
              style={onPick ? { cursor: 'pointer' } : undefined}
            >
              <rect
                className="rack-slot"
                x={GUTTER + 3}
                y={2 + y(assignment)}
                width={WIDTH - 2}
                height={assignment.length * UNIT}
                rx={2}
                fill={partyColour(assignment.partyId)}
              />
              {assignment.length >= 1 && (
                <text
                  x={GUTTER + 9}
                  y={2 + y(assignment) + (assignment.length * UNIT) / 2 + 2.8}
                  fontSize={assignment.length > 1 ? 9 : 7.5}
                  fill="#fff"
                >
                  {(assignment.partyName ?? '').slice(0, 18)}
                </text>
              )}
            </g>
          </Tooltip>
        ))}
      </svg>
    </Box>
  )
}

const METRE = 16

/** Racks of a step to come are only outlined. */
const opensLater = (rack: Rack): boolean => rack.opensAt !== null && Date.parse(rack.opensAt) > Date.now()

export function FloorView({
  racks,
  chosen,
  onChoose,
}: {
  racks: Rack[]
  chosen: number | null
  onChoose: (rack: Rack) => void
}) {
  const { t } = useTranslation()
  const placed = racks.filter((rack) => rack.x !== null && rack.y !== null)
  if (placed.length === 0) return <Text c="dimmed">{t('racks.notPlaced')}</Text>
  const width = Math.max(...placed.map((rack) => rack.x! + (rack.width ?? 0.6))) + 1
  const depth = Math.max(...placed.map((rack) => rack.y! + (rack.depth ?? 1.1))) + 1
  return (
    <Box style={{ overflowX: 'auto' }}>
      <svg
        viewBox={`0 0 ${width * METRE} ${depth * METRE}`}
        style={{ width: '100%', minWidth: 560, maxHeight: 420 }}
        aria-label={t('racks.floor')}
      >
        <rect x={1} y={1} width={width * METRE - 2} height={depth * METRE - 2} rx={6} fill="#fbfcfd" stroke="#c9d3db" />
        {placed.map((rack) => {
          const fill = slotsUsed(rack) / rack.slots
          const label = `${rack.name} · ${t('racks.used', { used: slotsUsed(rack), slots: rack.slots })}`
          return (
            // biome-ignore lint/a11y/useSemanticElements: an SVG shape cannot be a button element
            <g
              key={rack.id}
              role="button"
              tabIndex={0}
              aria-label={label}
              aria-pressed={rack.id === chosen}
              onClick={() => onChoose(rack)}
              onKeyDown={(event) => {
                if (event.key === 'Enter' || event.key === ' ') onChoose(rack)
              }}
              style={{ cursor: 'pointer' }}
            >
              <title>{label}</title>
              <rect
                strokeDasharray={opensLater(rack) ? '2 2' : undefined}
                x={rack.x! * METRE}
                y={rack.y! * METRE}
                width={(rack.width ?? 0.6) * METRE}
                height={(rack.depth ?? 1.1) * METRE}
                fill={opensLater(rack) ? 'none' : '#e3e9ee'}
                stroke={rack.id === chosen ? '#c0392b' : '#b3c0ca'}
                strokeWidth={rack.id === chosen ? 2 : 0.7}
              />
              <rect
                x={rack.x! * METRE + 1}
                y={(rack.y! + (rack.depth ?? 1.1) * (1 - fill)) * METRE}
                width={(rack.width ?? 0.6) * METRE - 2}
                height={Math.max(0, (rack.depth ?? 1.1) * fill * METRE - 1)}
                fill={fill > 0.9 ? '#06485f' : fill > 0.5 ? '#1f86ac' : '#74bdd6'}
              />
            </g>
          )
        })}
      </svg>
    </Box>
  )
}
