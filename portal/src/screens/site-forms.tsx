/** How an operator furnishes a site: its pools, and the racks, seat rooms or panels inside them. */
import { Button, Group, Modal, NumberInput, Select, Stack, TextInput } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Page as ApiPage, send, useChange, useOne } from '../api.ts'
import { useFormat } from '../format.ts'
import { ProblemNote } from '../parts/feedback.tsx'
import type { Pool, ResourceKind, Site } from '../types.ts'

export function AddPool({ site, onClose }: { site: Site; onClose: () => void }) {
  const { t, i18n } = useTranslation()
  const format = useFormat()
  const kinds = useOne<ApiPage<ResourceKind>>('/resource-kinds')
  const [kind, setKind] = useState<string | null>(null)
  const [quantity, setQuantity] = useState<number | string>('')
  const [oversubscription, setOversubscription] = useState<number | string>(1)
  const [own, setOwn] = useState({ code: '', name: '', unit: '' })
  const chosen = kinds.data?.items.find((candidate) => candidate.code === kind)
  const add = useChange(
    async () => {
      if (kind === OWN) await send('POST', '/resource-kinds', { body: { ...own, identified: false } })
      const code = kind === OWN ? own.code : kind!
      return send<Pool>('POST', '/pools', {
        body: {
          site: site.code,
          kind: code,
          name: kind === OWN ? own.name : chosen!.name,
          oversubscription: Number(oversubscription),
          ...(quantity === '' ? {} : { quantity: Number(quantity) }),
        },
      })
    },
    {
      onDone: () => {
        notifications.show({ message: t('sites.poolAdded') })
        onClose()
      },
    },
  )
  const free = (kinds.data?.items ?? []).filter((candidate) => !site.pools.some((pool) => pool.kind === candidate.code))
  return (
    <Modal opened onClose={onClose} title={t('sites.addPool')}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          add.mutate(undefined)
        }}
      >
        <Stack>
          <Select
            label={t('capacity.kind')}
            required
            data={[
              ...free.map((candidate) => ({
                value: candidate.code,
                label: `${(i18n.language === 'ja' && candidate.nameJa) || candidate.name} (${format.unit(candidate.unit)})`,
              })),
              { value: OWN, label: t('sites.ownKind') },
            ]}
            value={kind}
            onChange={setKind}
          />
          {kind === OWN && (
            <Group grow align="flex-start">
              <TextInput
                label={t('common.name')}
                required
                value={own.name}
                onChange={(event) => setOwn({ ...own, name: event.currentTarget.value })}
              />
              <TextInput
                label={t('common.code')}
                required
                value={own.code}
                onChange={(event) => setOwn({ ...own, code: event.currentTarget.value })}
              />
              <TextInput
                label={t('sites.unit')}
                required
                value={own.unit}
                onChange={(event) => setOwn({ ...own, unit: event.currentTarget.value })}
              />
            </Group>
          )}
          <NumberInput
            label={t('sites.openNow')}
            description={t('sites.openNowHint')}
            min={0}
            thousandSeparator
            value={quantity}
            onChange={setQuantity}
            suffix={chosen ? ` ${format.unit(chosen.unit)}` : undefined}
          />
          <NumberInput
            label={t('capacity.oversubscription')}
            description={t('sites.oversubscriptionHint')}
            min={0.001}
            max={100}
            decimalScale={3}
            value={oversubscription}
            onChange={setOversubscription}
            suffix=" ×"
          />
          <ProblemNote problem={add.error} />
          <Button type="submit" loading={add.isPending} disabled={!kind}>
            {t('sites.addPool')}
          </Button>
        </Stack>
      </form>
    </Modal>
  )
}

const OWN = '+'

/** Adds several alike containers at once: a row of racks, a room of seats, a panel of ports. */
export function AddRacks({ site, onClose }: { site: Site; onClose: () => void }) {
  const { t } = useTranslation()
  const pools = site.pools.filter((pool) => pool.identified)
  const [kind, setKind] = useState<string | null>(pools[0]?.kind ?? null)
  const [row, setRow] = useState('A')
  const [count, setCount] = useState<number | string>(10)
  const [slots, setSlots] = useState<number | string>(42)
  const [y, setY] = useState<number | string>(1)
  const add = useChange(
    async () => {
      for (let index = 0; index < Number(count); index++)
        await send('POST', `/sites/${site.code}/racks`, {
          body: {
            kind,
            name: `${row}${String(index + 1).padStart(2, '0')}`,
            faultDomain: row,
            slots: Number(slots),
            ...(kind === 'rack-unit' ? { x: 1 + index * 0.7, y: Number(y), width: 0.7, depth: 1.2 } : {}),
          },
        })
    },
    {
      onDone: () => {
        notifications.show({ message: t('racks.added', { count: Number(count) }) })
        onClose()
      },
    },
  )
  return (
    <Modal opened onClose={onClose} title={t('racks.add')}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          add.mutate(undefined)
        }}
      >
        <Stack>
          <Select
            label={t('capacity.kind')}
            data={pools.map((pool) => ({
              value: pool.kind,
              label: t(`kinds.${pool.kind}`, { defaultValue: pool.name }),
            }))}
            value={kind}
            onChange={setKind}
            allowDeselect={false}
          />
          <Group grow align="flex-start">
            <TextInput
              label={t('racks.row')}
              required
              value={row}
              onChange={(event) => setRow(event.currentTarget.value)}
            />
            <NumberInput label={t('racks.count')} min={1} max={60} value={count} onChange={setCount} />
            <NumberInput label={t('racks.slots')} min={1} max={1_000} value={slots} onChange={setSlots} />
          </Group>
          {kind === 'rack-unit' && (
            <NumberInput label={t('racks.distance')} min={0} decimalScale={1} value={y} onChange={setY} suffix=" m" />
          )}
          <ProblemNote problem={add.error} />
          <Button type="submit" loading={add.isPending} disabled={!kind}>
            {t('racks.add')}
          </Button>
        </Stack>
      </form>
    </Modal>
  )
}
