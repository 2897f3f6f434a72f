import { Code, Modal } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useFormat } from '../format.ts'
import { Page, Section } from '../parts/page.tsx'
import { type Column, ListTable } from '../parts/table.tsx'
import type { RecordedEvent } from '../types.ts'

/** Who changed what, and when: before and after. */
export function AuditScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const [opened, setOpened] = useState<RecordedEvent | null>(null)
  const columns: Column<RecordedEvent>[] = [
    { title: t('audit.at'), cell: (row) => format.dateTime(row.at) },
    { title: t('audit.who'), cell: (row) => row.actorName ?? '–', from: 'sm' },
    {
      title: t('audit.what'),
      cell: (row) => (
        <button
          type="button"
          onClick={() => setOpened(row)}
          style={{ all: 'unset', cursor: 'pointer', color: 'var(--mantine-color-anchor)' }}
        >
          {t(`events.${row.type.replace('.', '-')}`, { defaultValue: row.type })}
        </button>
      ),
    },
    { title: t('audit.subject'), cell: (row) => `${row.subjectKind} ${row.subjectId.slice(0, 13)}`, from: 'md' },
  ]
  return (
    <Page title={t('nav.audit')} intro={t('audit.intro')}>
      <Section>
        <ListTable<RecordedEvent>
          path="/events"
          label={t('nav.audit')}
          columns={columns}
          rowKey={(row) => row.id}
          empty={{ title: t('audit.empty') }}
        />
      </Section>
      <Modal opened={opened !== null} onClose={() => setOpened(null)} title={opened?.type} size="lg">
        <Code block>{JSON.stringify({ before: opened?.before, after: opened?.after }, null, 2)}</Code>
      </Modal>
    </Page>
  )
}
