import { Alert, Button, CopyButton, Modal, MultiSelect, Select, Stack, TextInput } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { send, useChange } from '../api.ts'
import { useFormat } from '../format.ts'
import { useMay } from '../me.tsx'
import { ProblemNote } from '../parts/feedback.tsx'
import { Page, Section, State } from '../parts/page.tsx'
import { type Column, ListTable } from '../parts/table.tsx'

interface ApiKey {
  id: string
  name: string
  role: string
  scopes: string[]
  createdAt: string
  expiresAt: string | null
  revokedAt: string | null
}

const SCOPES = ['capacity', 'orders', 'billing', 'parties', 'results', 'webhooks'].flatMap((noun) => [
  `${noun}:read`,
  `${noun}:write`,
])

/** Keys for programs: what each may do, and until when. */
export function KeysScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const may = useMay()
  const [adding, dialog] = useDisclosure(false)
  const revoke = useChange((key: ApiKey) => send('DELETE', `/api-keys/${key.id}`))
  const columns: Column<ApiKey>[] = [
    { title: t('common.name'), cell: (row) => row.name },
    { title: t('team.role'), cell: (row) => t(`roles.${row.role}`), from: 'sm' },
    { title: t('keys.scopes'), cell: (row) => row.scopes.join(', '), from: 'md' },
    { title: t('common.state'), cell: (row) => <State value={row.revokedAt ? 'disabled' : 'active'} /> },
    {
      title: t('keys.expires'),
      cell: (row) => (row.expiresAt ? format.date(row.expiresAt) : t('common.never')),
      number: true,
      from: 'sm',
    },
    {
      title: '',
      cell: (row) =>
        !row.revokedAt &&
        may.own && (
          <Button size="compact-xs" variant="light" color="red" onClick={() => revoke.mutate(row)}>
            {t('keys.revoke')}
          </Button>
        ),
      number: true,
    },
  ]
  return (
    <Page
      title={t('nav.keys')}
      intro={t('keys.intro')}
      actions={
        may.own && (
          <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>
            {t('keys.add')}
          </Button>
        )
      }
    >
      <ProblemNote problem={revoke.error} />
      <Section>
        <ListTable<ApiKey>
          path="/api-keys"
          label={t('nav.keys')}
          columns={columns}
          rowKey={(row) => row.id}
          empty={{ title: t('keys.empty'), hint: t('keys.emptyHint') }}
          search={false}
        />
      </Section>
      <AddKey opened={adding} onClose={dialog.close} />
    </Page>
  )
}

function AddKey({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTranslation()
  const [name, setName] = useState('')
  const [role, setRole] = useState('engineer')
  const [scopes, setScopes] = useState<string[]>([])
  const [secret, setSecret] = useState<string | null>(null)
  const add = useChange(() => send<{ secret: string }>('POST', '/api-keys', { body: { name, role, scopes } }), {
    onDone: (answer) => setSecret(answer.secret),
  })
  return (
    <Modal
      opened={opened}
      onClose={() => {
        setSecret(null)
        onClose()
      }}
      title={t('keys.add')}
    >
      {secret ? (
        <Stack>
          <Alert color="yellow">{t('keys.once')}</Alert>
          <TextInput readOnly value={secret} aria-label={t('keys.secret')} ff="monospace" />
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
              label={t('common.name')}
              required
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
            />
            <Select
              label={t('team.role')}
              data={['owner', 'engineer', 'finance', 'read-only'].map((value) => ({
                value,
                label: t(`roles.${value}`),
              }))}
              value={role}
              onChange={(value) => value && setRole(value)}
              allowDeselect={false}
            />
            <MultiSelect label={t('keys.scopes')} data={SCOPES} value={scopes} onChange={setScopes} required />
            <ProblemNote problem={add.error} />
            <Button type="submit" loading={add.isPending} disabled={scopes.length === 0}>
              {t('keys.add')}
            </Button>
          </Stack>
        </form>
      )}
    </Modal>
  )
}
