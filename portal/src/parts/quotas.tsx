/** The most a party may hold of each kind, over all sites or at one. */
import { Button, Group, NumberInput, Select, Text } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Page as ApiPage, send, useChange, useOne, withQuery } from '../api.ts'
import { useFormat } from '../format.ts'
import type { ResourceKind, Site } from '../types.ts'
import { ProblemNote } from './feedback.tsx'
import { RowsTable } from './table.tsx'

interface Quota {
  party: string
  kind: string
  unit?: string
  site: string | null
  quantity: number
  used?: number
}

export function Quotas({ partyId, mayChange }: { partyId: string; mayChange: boolean }) {
  const { t } = useTranslation()
  const format = useFormat()
  const quotas = useOne<ApiPage<Quota>>('/quotas', { party: partyId })
  const kinds = useOne<ApiPage<ResourceKind>>(mayChange ? '/resource-kinds' : null)
  const sites = useOne<ApiPage<Site>>(mayChange ? '/sites' : null)
  const [kind, setKind] = useState<string | null>(null)
  const [site, setSite] = useState<string | null>(null)
  const [quantity, setQuantity] = useState<number | string>('')
  const set = useChange((quota: Quota) => send('PUT', '/quotas', { body: quota }), { onDone: () => setQuantity('') })
  const remove = useChange((quota: Quota) =>
    send('DELETE', withQuery('/quotas', { party: partyId, kind: quota.kind, site: quota.site })),
  )
  const items = quotas.data?.items ?? []
  return (
    <>
      {items.length === 0 ? (
        <Text c="dimmed" size="sm">
          {t('quotas.none')}
        </Text>
      ) : (
        <RowsTable
          label={t('quotas.title')}
          rows={items}
          rowKey={(row) => `${row.kind}${row.site}`}
          columns={[
            { title: t('capacity.kind'), cell: (row) => t(`kinds.${row.kind}`, { defaultValue: row.kind }) },
            { title: t('common.site'), cell: (row) => row.site ?? t('quotas.allSites') },
            {
              title: t('quotas.limit'),
              cell: (row) => `${format.number(row.quantity)} ${row.unit ? format.unit(row.unit) : ''}`,
              number: true,
            },
            {
              title: '',
              cell: (row) =>
                mayChange && (
                  <Button size="compact-xs" variant="light" color="red" onClick={() => remove.mutate(row)}>
                    {t('common.remove')}
                  </Button>
                ),
              number: true,
            },
          ]}
        />
      )}
      {mayChange && (
        <Group align="flex-end" mt="md" gap="xs">
          <Select
            label={t('capacity.kind')}
            data={(kinds.data?.items ?? []).map((item) => ({
              value: item.code,
              label: t(`kinds.${item.code}`, { defaultValue: item.name }),
            }))}
            value={kind}
            onChange={setKind}
            w={170}
          />
          <Select
            label={t('common.site')}
            placeholder={t('quotas.allSites')}
            clearable
            data={(sites.data?.items ?? []).map((item) => ({ value: item.code, label: item.name }))}
            value={site}
            onChange={setSite}
            w={160}
          />
          <NumberInput label={t('quotas.limit')} min={0} value={quantity} onChange={setQuantity} w={120} />
          <Button
            variant="default"
            disabled={!kind || quantity === ''}
            loading={set.isPending}
            onClick={() => set.mutate({ party: partyId, kind: kind!, site, quantity: Number(quantity) })}
          >
            {t('quotas.set')}
          </Button>
        </Group>
      )}
      <ProblemNote problem={set.error ?? remove.error} />
    </>
  )
}
