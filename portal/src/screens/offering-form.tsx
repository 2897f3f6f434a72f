/** A new offering with its first price plan, or a new version of the prices of one that is sold. */
import {
  ActionIcon,
  Button,
  Card,
  Group,
  Modal,
  NumberInput,
  Select,
  Stack,
  Text,
  Textarea,
  TextInput,
} from '@mantine/core'
import { DateInput } from '@mantine/dates'
import { notifications } from '@mantine/notifications'
import { IconPlus, IconTrash } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Page as ApiPage, send, useChange, useOne } from '../api.ts'
import { useMe } from '../me.tsx'
import { ProblemNote } from '../parts/feedback.tsx'
import type { Offering, ResourceKind } from '../types.ts'

interface ChargeDraft {
  key: number
  kind: 'setup' | 'monthly' | 'unit'
  name: string
  resource: string | null
  per: string
  price: string
}

let nextKey = 1
const blank = (kind: ChargeDraft['kind']): ChargeDraft => ({
  key: nextKey++,
  kind,
  name: '',
  resource: null,
  per: 'month',
  price: '',
})

export function OfferingForm({ offering, onClose }: { offering: Offering | null; onClose: () => void }) {
  const { t } = useTranslation()
  const me = useMe()
  const [form, setForm] = useState({ code: '', name: '', nameJa: '', description: '' })
  const [charges, setCharges] = useState<ChargeDraft[]>([blank('unit')])
  const [minimumTermMonths, setTerm] = useState<number | string>(0)
  const [from, setFrom] = useState<string | null>(null)
  const field = (name: keyof typeof form) => ({
    value: form[name],
    onChange: (event: { currentTarget: { value: string } }) => setForm({ ...form, [name]: event.currentTarget.value }),
  })
  const save = useChange(
    async () => {
      const code = offering?.code ?? form.code
      if (!offering)
        await send('POST', '/offerings', {
          body: {
            code,
            family: 'colocation',
            name: form.name,
            ...(form.nameJa ? { nameJa: form.nameJa } : {}),
            ...(form.description ? { description: form.description } : {}),
          },
        })
      await send('POST', `/offerings/${code}/prices`, {
        body: {
          currency: me.party.currency,
          minimumTermMonths: Number(minimumTermMonths),
          ...(from ? { effectiveFrom: `${from}T00:00:00.000Z` } : {}),
          charges: charges.map((charge) => ({
            kind: charge.kind,
            name: charge.name,
            price: charge.price,
            ...(charge.kind === 'unit' ? { resource: charge.resource, per: charge.per } : {}),
          })),
        },
      })
    },
    {
      onDone: () => {
        notifications.show({ message: t('offerings.saved') })
        onClose()
      },
    },
  )
  return (
    <Modal opened onClose={onClose} title={t(offering ? 'offerings.newPrices' : 'offerings.add')} size="lg">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          save.mutate(undefined)
        }}
      >
        <Stack>
          {!offering && (
            <>
              <Group grow align="flex-start">
                <TextInput label={t('common.name')} required {...field('name')} />
                <TextInput label={t('common.nameJa')} {...field('nameJa')} />
              </Group>
              <TextInput label={t('common.code')} description={t('common.codeHint')} required {...field('code')} />
              <Textarea label={t('offerings.description')} {...field('description')} />
            </>
          )}
          <Group grow align="flex-start">
            <NumberInput label={t('offerings.term')} min={0} max={120} value={minimumTermMonths} onChange={setTerm} />
            <DateInput
              label={t('offerings.effectiveFrom')}
              placeholder={t('services.now')}
              clearable
              value={from}
              onChange={setFrom}
            />
          </Group>
          <Charges charges={charges} onChange={setCharges} currency={me.party.currency} />
          <ProblemNote problem={save.error} />
          <Button type="submit" loading={save.isPending} disabled={charges.length === 0}>
            {t('common.save')}
          </Button>
        </Stack>
      </form>
    </Modal>
  )
}

function Charges({
  charges,
  onChange,
  currency,
}: {
  charges: ChargeDraft[]
  onChange: (charges: ChargeDraft[]) => void
  currency: string
}) {
  const { t, i18n } = useTranslation()
  const kinds = useOne<ApiPage<ResourceKind>>('/resource-kinds')
  const change = (key: number, part: Partial<ChargeDraft>) =>
    onChange(charges.map((charge) => (charge.key === key ? { ...charge, ...part } : charge)))
  return (
    <Stack gap="xs">
      <Text size="sm" fw={600}>
        {t('offerings.charges')}
      </Text>
      {charges.map((charge) => (
        <Card key={charge.key} padding="sm">
          <Group align="flex-end" gap="xs">
            <Select
              label={t('offerings.charge')}
              data={(['unit', 'monthly', 'setup'] as const).map((value) => ({
                value,
                label: t(`offerings.kinds.${value}`),
              }))}
              value={charge.kind}
              onChange={(value) => value && change(charge.key, { kind: value as ChargeDraft['kind'] })}
              allowDeselect={false}
              w={150}
            />
            {charge.kind === 'unit' && (
              <>
                <Select
                  label={t('capacity.kind')}
                  required
                  data={(kinds.data?.items ?? []).map((kind) => ({
                    value: kind.code,
                    label: (i18n.language === 'ja' && kind.nameJa) || kind.name,
                  }))}
                  value={charge.resource}
                  onChange={(value) =>
                    change(charge.key, {
                      resource: value,
                      name: charge.name || (kinds.data?.items.find((kind) => kind.code === value)?.name ?? ''),
                    })
                  }
                  w={170}
                />
                <Select
                  label={t('offerings.perLabel')}
                  data={['hour', 'day', 'month'].map((value) => ({ value, label: t(`offerings.per.${value}`) }))}
                  value={charge.per}
                  onChange={(value) => value && change(charge.key, { per: value })}
                  allowDeselect={false}
                  w={110}
                />
              </>
            )}
            <TextInput
              label={t('common.name')}
              required
              value={charge.name}
              onChange={(event) => change(charge.key, { name: event.currentTarget.value })}
              style={{ flex: '1 1 140px' }}
            />
            <TextInput
              label={`${t('offerings.price')} (${currency})`}
              required
              inputMode="decimal"
              value={charge.price}
              onChange={(event) => change(charge.key, { price: event.currentTarget.value })}
              w={110}
            />
            <ActionIcon
              variant="subtle"
              color="red"
              size="lg"
              aria-label={t('common.remove')}
              onClick={() => onChange(charges.filter((other) => other.key !== charge.key))}
            >
              <IconTrash size={17} />
            </ActionIcon>
          </Group>
        </Card>
      ))}
      <Button
        variant="default"
        size="xs"
        leftSection={<IconPlus size={14} />}
        onClick={() => onChange([...charges, blank('unit')])}
        style={{ alignSelf: 'flex-start' }}
      >
        {t('offerings.addCharge')}
      </Button>
    </Stack>
  )
}
