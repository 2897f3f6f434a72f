import { Alert, Button, CopyButton, Group, Modal, Stack, TagsInput, TextInput } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { notifications } from '@mantine/notifications'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { send, useChange } from '../api.ts'
import { useMay } from '../me.tsx'
import { ProblemNote } from '../parts/feedback.tsx'
import { Page, Section, State } from '../parts/page.tsx'
import { type Column, ListTable } from '../parts/table.tsx'

interface Webhook {
  id: string
  url: string
  types: string[]
  state: string
}

/** Where other programs are told of changes, signed. */
export function WebhooksScreen() {
  const { t } = useTranslation()
  const may = useMay()
  const [adding, dialog] = useDisclosure(false)
  const test = useChange((hook: Webhook) => send('POST', `/webhooks/${hook.id}/test`), {
    onDone: () => notifications.show({ message: t('webhooks.tested') }),
  })
  const remove = useChange((hook: Webhook) => send('DELETE', `/webhooks/${hook.id}`))
  const columns: Column<Webhook>[] = [
    { title: t('webhooks.url'), cell: (row) => row.url },
    { title: t('webhooks.types'), cell: (row) => row.types.join(', '), from: 'sm' },
    { title: t('common.state'), cell: (row) => <State value={row.state} /> },
    {
      title: '',
      cell: (row) =>
        may.own && (
          <Group gap={6} justify="flex-end" wrap="nowrap">
            <Button size="compact-xs" variant="default" onClick={() => test.mutate(row)}>
              {t('webhooks.test')}
            </Button>
            <Button size="compact-xs" variant="light" color="red" onClick={() => remove.mutate(row)}>
              {t('common.remove')}
            </Button>
          </Group>
        ),
      number: true,
    },
  ]
  return (
    <Page
      title={t('nav.webhooks')}
      intro={t('webhooks.intro')}
      actions={
        may.own && (
          <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>
            {t('webhooks.add')}
          </Button>
        )
      }
    >
      <ProblemNote problem={test.error ?? remove.error} />
      <Section>
        <ListTable<Webhook>
          path="/webhooks"
          label={t('nav.webhooks')}
          columns={columns}
          rowKey={(row) => row.id}
          empty={{ title: t('webhooks.empty'), hint: t('webhooks.emptyHint') }}
          search={false}
        />
      </Section>
      <AddWebhook opened={adding} onClose={dialog.close} />
    </Page>
  )
}

function AddWebhook({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTranslation()
  const [url, setUrl] = useState('')
  const [types, setTypes] = useState<string[]>(['service.activated', 'invoice.issued'])
  const [secret, setSecret] = useState<string | null>(null)
  const add = useChange(() => send<{ secret: string }>('POST', '/webhooks', { body: { url, types } }), {
    onDone: (answer) => setSecret(answer.secret),
  })
  return (
    <Modal
      opened={opened}
      onClose={() => {
        setSecret(null)
        onClose()
      }}
      title={t('webhooks.add')}
    >
      {secret ? (
        <Stack>
          <Alert color="yellow">{t('webhooks.once')}</Alert>
          <TextInput readOnly value={secret} aria-label={t('keys.secret')} />
          <CopyButton value={secret}>
            {({ copied, copy }) => <Button onClick={copy}>{copied ? t('common.copied') : t('common.copy')}</Button>}
          </CopyButton>
        </Stack>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault()
            add.mutate(undefined)
          }}
        >
          <Stack>
            <TextInput
              label={t('webhooks.url')}
              type="url"
              required
              value={url}
              onChange={(event) => setUrl(event.currentTarget.value)}
            />
            <TagsInput label={t('webhooks.types')} value={types} onChange={setTypes} />
            <ProblemNote problem={add.error} />
            <Button type="submit" loading={add.isPending}>
              {t('webhooks.add')}
            </Button>
          </Stack>
        </form>
      )}
    </Modal>
  )
}
