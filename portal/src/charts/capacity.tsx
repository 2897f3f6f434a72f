/**
 * Supply and demand of one pool over time: the stepped line is what is open, the dashed one what is planned beyond it;
 * the areas are what is reserved firm, kept for standby and held for quotes; the dotted line with its band is the
 * forecast. A table with the same figures is there for whom the picture says nothing.
 */
import { Box, Group, Table, Text, VisuallyHidden } from '@mantine/core'
import { useElementSize } from '@mantine/hooks'
import { useEffect, useRef } from 'react'
import { useTranslation } from 'react-i18next'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { useFormat } from '../format.ts'
import { USE_COLOURS } from '../theme.ts'
import type { Forecast, SkylinePoint } from '../types.ts'

type Series = (number | null)[]

/** Points of a step function and of the forecast on one time axis; each value holds until the next point. */
function columns(points: SkylinePoint[], to: string, forecast: Forecast['points']): Series[] {
  const times = new Set(points.map((point) => Date.parse(point.at)))
  times.add(Date.parse(to))
  for (const point of forecast) times.add(Date.parse(point.at))
  const sorted = [...times].sort((a, b) => a - b)
  const byTime = new Map(forecast.map((point) => [Date.parse(point.at), point]))
  const data: Series[] = [[], [], [], [], [], [], [], [], []]
  let at = 0
  for (const time of sorted) {
    while (at + 1 < points.length && Date.parse(points[at + 1]!.at) <= time) at++
    const point = points[at]!
    const ahead = byTime.get(time)
    const row = [
      time / 1_000,
      point.firm + point.standby + point.held,
      point.firm + point.standby,
      point.firm,
      point.open,
      point.open + point.planned,
      ahead?.high ?? null,
      ahead?.low ?? null,
      ahead?.forecast ?? null,
    ]
    row.forEach((value, index) => {
      data[index]!.push(value)
    })
  }
  return data
}

export function CapacityChart({
  points,
  to,
  unit,
  forecast = [],
  height = 300,
}: {
  points: SkylinePoint[]
  to: string
  unit: string
  forecast?: Forecast['points']
  height?: number
}) {
  const { t } = useTranslation()
  const format = useFormat()
  const { ref: box, width } = useElementSize<HTMLDivElement>()
  const holder = useRef<HTMLDivElement>(null)

  useEffect(() => {
    if (!holder.current || width < 50 || points.length === 0) return
    const { date, number, compact, locale } = format
    const stepped = uPlot.paths.stepped!({ align: 1 })
    const tips = document.createElement('div')
    const day = (seconds: number) => date(new Date(seconds * 1_000).toISOString())
    const plot = new uPlot(
      {
        width,
        height,
        padding: [12, 12, 0, 4],
        cursor: { points: { show: false }, y: false },
        scales: { y: { range: (_, __, max) => [0, max * 1.08 || 1] } },
        axes: [
          {
            stroke: '#566673',
            grid: { stroke: '#eef2f5', width: 1 },
            ticks: { stroke: '#e1e7ec', width: 1 },
            values: (_, seconds) => axisDates(seconds, locale),
            space: 70,
          },
          {
            stroke: '#566673',
            grid: { stroke: '#eef2f5', width: 1 },
            ticks: { show: false },
            values: (_, values) => values.map((value) => compact(value)),
            size: 58,
          },
        ],
        series: [
          {},
          {
            stroke: USE_COLOURS.held,
            fill: `${USE_COLOURS.held}55`,
            width: 1,
            paths: stepped,
            points: { show: false },
          },
          { stroke: USE_COLOURS.standby, fill: '#f5dcb4', width: 1, paths: stepped, points: { show: false } },
          { stroke: USE_COLOURS.firm, fill: '#a9cddb', width: 1.5, paths: stepped, points: { show: false } },
          { stroke: USE_COLOURS.open, width: 2.5, paths: stepped, points: { show: false } },
          {
            show: points.some((point) => point.planned > 0),
            stroke: USE_COLOURS.planned,
            width: 1.5,
            dash: [6, 5],
            paths: stepped,
            points: { show: false },
          },
          { stroke: 'transparent', points: { show: false }, spanGaps: true },
          { stroke: 'transparent', points: { show: false }, spanGaps: true },
          { stroke: USE_COLOURS.forecast, width: 2, dash: [2, 4], points: { show: false }, spanGaps: true },
        ],
        bands: [{ series: [6, 7], fill: 'rgba(192,57,43,0.12)' }],
        hooks: {
          init: [
            (chart) => {
              tips.style.cssText =
                'position:absolute;pointer-events:none;display:none;background:#1d2b36;color:#fff;padding:8px 10px;border-radius:8px;font-size:12px;line-height:1.5;white-space:nowrap;z-index:5'
              chart.over.appendChild(tips)
              chart.over.addEventListener('mouseleave', () => {
                tips.style.display = 'none'
              })
            },
          ],
          setCursor: [
            (chart) => {
              const { idx, left = 0 } = chart.cursor
              if (idx == null || left < 0) return
              const value = (index: number) => chart.data[index]![idx] ?? null
              const firm = value(3) ?? 0
              const standby = (value(2) ?? 0) - firm
              const held = (value(1) ?? 0) - firm - standby
              const lines = [
                day(chart.data[0][idx]!),
                `${t('capacity.open')}: ${number(value(4) ?? 0)}`,
                `${t('capacity.firm')}: ${number(firm)}`,
                standby > 0 ? `${t('capacity.standby')}: ${number(standby)}` : '',
                held > 0 ? `${t('capacity.held')}: ${number(held)}` : '',
              ].filter(Boolean)
              tips.replaceChildren(
                ...lines.map((line) => {
                  const row = document.createElement('div')
                  row.textContent = line
                  return row
                }),
              )
              tips.style.display = 'block'
              const over = left > chart.over.clientWidth - 170
              tips.style.left = over ? '' : `${left + 12}px`
              tips.style.right = over ? `${chart.over.clientWidth - left + 12}px` : ''
              tips.style.top = '8px'
            },
          ],
        },
      },
      columns(points, to, forecast) as uPlot.AlignedData,
      holder.current,
    )
    return () => plot.destroy()
  }, [points, to, forecast, width, height, format, t])

  const legend: [string, string, boolean][] = [
    [t('capacity.open'), USE_COLOURS.open, true],
    [t('capacity.plannedToo'), USE_COLOURS.planned, points.some((point) => point.planned > 0)],
    [t('capacity.firm'), USE_COLOURS.firm, true],
    [t('capacity.standby'), USE_COLOURS.standby, points.some((point) => point.standby > 0)],
    [t('capacity.held'), USE_COLOURS.held, points.some((point) => point.held > 0)],
    [t('capacity.forecast'), USE_COLOURS.forecast, forecast.length > 0],
  ]
  const last = points.at(-1)
  return (
    <Box ref={box} className="chart">
      <Group gap="md" mb={4}>
        {legend
          .filter(([, , shown]) => shown)
          .map(([label, colour]) => (
            <Group gap={6} key={label}>
              <Box w={12} h={12} style={{ background: colour, borderRadius: 3 }} aria-hidden />
              <Text size="xs" c="dimmed">
                {label}
              </Text>
            </Group>
          ))}
        <Text size="xs" c="dimmed" ml="auto">
          {format.unit(unit)}
        </Text>
      </Group>
      <div
        ref={holder}
        role="img"
        aria-label={t('capacity.chartLabel', {
          open: format.number(last?.open ?? 0),
          firm: format.number(last?.firm ?? 0),
          unit: format.unit(unit),
        })}
      />
      <VisuallyHidden>
        <Table>
          <caption>{t('capacity.chartTable')}</caption>
          <tbody>
            {points.slice(0, 60).map((point) => (
              <tr key={point.at}>
                <th scope="row">{format.date(point.at)}</th>
                <td>{format.number(point.open)}</td>
                <td>{format.number(point.firm)}</td>
                <td>{format.number(point.standby)}</td>
              </tr>
            ))}
          </tbody>
        </Table>
      </VisuallyHidden>
    </Box>
  )
}

/** Axis labels: the year where it changes, months between, days or hours when they are close together. */
function axisDates(seconds: number[], locale: string): string[] {
  const span = (seconds.at(-1) ?? 0) - (seconds[0] ?? 0)
  const step = seconds.length > 1 ? span / (seconds.length - 1) : 0
  let lastYear = -1
  return seconds.map((second) => {
    const date = new Date(second * 1_000)
    const year = date.getFullYear()
    const options: Intl.DateTimeFormatOptions =
      step >= 300 * 86_400
        ? { year: 'numeric' }
        : step >= 20 * 86_400
          ? { month: 'short' }
          : step >= 86_400
            ? { month: 'short', day: 'numeric' }
            : { hour: '2-digit', minute: '2-digit' }
    const text = new Intl.DateTimeFormat(locale, options).format(date)
    const withYear = year !== lastYear && step < 300 * 86_400 ? `${text}\n${year}` : text
    lastYear = year
    return withYear
  })
}
