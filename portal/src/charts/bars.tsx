/** Stacked columns over categories (quarters, months) as SVG: few bars, exact labels, readable without colour. */
import { Box, Group, Text } from '@mantine/core'
import { useElementSize } from '@mantine/hooks'
import { useState } from 'react'

export interface Bar {
  label: string
  parts: { name: string; value: number }[]
  /** What is written above the column. */
  total: string
}

const COLOURS = ['#0b5d7a', '#3399be', '#e09f3e', '#9b8bd0', '#5aa469', '#b8574b', '#74bdd6']
const TOP = 24
const BOTTOM = 28

export function Bars({ bars, label, height = 240 }: { bars: Bar[]; label: string; height?: number }) {
  const { ref, width } = useElementSize<HTMLDivElement>()
  const [over, setOver] = useState<number | null>(null)
  const names = [...new Set(bars.flatMap((bar) => bar.parts.map((part) => part.name)))]
  const sums = bars.map((bar) => bar.parts.reduce((sum, part) => sum + Math.max(0, part.value), 0))
  const max = Math.max(1, ...sums)
  const slot = width / Math.max(1, bars.length)
  const barWidth = Math.min(72, slot * 0.6)
  const scale = (value: number) => (value / max) * (height - TOP - BOTTOM)
  return (
    <Box ref={ref}>
      {names.length > 1 && (
        <Group gap="md" mb="xs">
          {names.map((name, index) => (
            <Group gap={6} key={name}>
              <Box w={12} h={12} style={{ background: COLOURS[index % COLOURS.length], borderRadius: 3 }} aria-hidden />
              <Text size="xs" c="dimmed">
                {name}
              </Text>
            </Group>
          ))}
        </Group>
      )}
      <svg
        width={width}
        height={height}
        role="img"
        aria-label={`${label}: ${bars.map((bar) => `${bar.label} ${bar.total}`).join(', ')}`}
      >
        <line x1={0} x2={width} y1={height - BOTTOM} y2={height - BOTTOM} stroke="#c9d3db" />
        {bars.map((bar, index) => {
          let y = height - BOTTOM
          const x = index * slot + (slot - barWidth) / 2
          return (
            // biome-ignore lint/a11y/noStaticElementInteractions: hovering only highlights; every figure is written out
            <g
              key={bar.label}
              onMouseEnter={() => setOver(index)}
              onMouseLeave={() => setOver(null)}
              opacity={over === null || over === index ? 1 : 0.55}
            >
              {bar.parts.map((part) => {
                const h = scale(Math.max(0, part.value))
                y -= h
                return (
                  <rect
                    key={part.name}
                    x={x}
                    y={y}
                    width={barWidth}
                    height={h}
                    fill={COLOURS[names.indexOf(part.name) % COLOURS.length]}
                  >
                    <title>{`${part.name}: ${part.value.toLocaleString()}`}</title>
                  </rect>
                )
              })}
              <text x={x + barWidth / 2} y={y - 7} textAnchor="middle" fontSize={12} fontWeight={600} fill="#1d2b36">
                {bar.total}
              </text>
              <text x={x + barWidth / 2} y={height - 9} textAnchor="middle" fontSize={12} fill="#566673">
                {bar.label}
              </text>
            </g>
          )
        })}
      </svg>
    </Box>
  )
}
