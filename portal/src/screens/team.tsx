import { Button, CopyButton, Group, Modal, Select, Stack, Text, TextInput } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconUserPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { send, useChange } from '../api.ts'
import { useFormat } from '../format.ts'
import { useMay } from '../me.tsx'
import { ProblemNote } from '../parts/feedback.tsx'
import { Page, Section, State } from '../parts/page.tsx'
import { type Column, ListTable } from '../parts/table.tsx'

interface Person {
  id: string
  name: string
  email: string
  role: string
  status: string
  partyName?: string
  createdAt: string
}

const ROLES = ['owner', 'engineer', 'finance', 'read-only']

export function TeamScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const may = useMay()
  const [inviting, dialog] = useDisclosure(false)
  const columns: Column<Person>[] = [
    { title: t('common.name'), cell: (row) => row.name },
    { title: t('signIn.email'), cell: (row) => row.email, from: 'sm' },
    { title: t('team.role'), cell: (row) => t(`roles.${row.role}`) },
    { title: t('common.customer'), cell: (row) => row.partyName ?? '–', from: 'md' },
    { title: t('common.state'), cell: (row) => <State value={row.status} />, from: 'sm' },
    { title: t('common.since'), cell: (row) => format.date(row.createdAt), number: true, from: 'md' },
  ]
  return (
    <Page
      title={t('nav.team')}
      intro={t('team.intro')}
      actions={
        may.own && (
          <Button leftSection={<IconUserPlus size={16} />} onClick={dialog.open}>
            {t('team.invite')}
          </Button>
        )
      }
    >
      <Section>
        <ListTable<Person>
          path="/users"
          label={t('nav.team')}
          columns={columns}
          rowKey={(row) => row.id}
          empty={{ title: t('team.empty') }}
        />
      </Section>
      <Invite opened={inviting} onClose={dialog.close} />
    </Page>
  )
}

function Invite({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTranslation()
  const [email, setEmail] = useState('')
  const [role, setRole] = useState('engineer')
  const [link, setLink] = useState<string | null>(null)
  const invite = useChange(() => send<{ token: string }>('POST', '/users/invitations', { body: { email, role } }), {
    onDone: (answer) => setLink(`${location.origin}/invitations/${answer.token}`),
  })
  return (
    <Modal
      opened={opened}
      onClose={() => {
        setLink(null)
        onClose()
      }}
      title={t('team.invite')}
    >
      {link ? (
        <Stack>
          <Text size="sm">{t('team.invited', { email })}</Text>
          <TextInput readOnly value={link} aria-label={t('team.link')} />
          <CopyButton value={link}>
            {({ copied, copy }) => <Button onClick={copy}>{copied ? t('common.copied') : t('common.copy')}</Button>}
          </CopyButton>
        </Stack>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault()
            invite.mutate(undefined)
          }}
        >
          <Stack>
            <TextInput
              label={t('signIn.email')}
              type="email"
              required
              value={email}
              onChange={(event) => setEmail(event.currentTarget.value)}
            />
            <Select
              label={t('team.role')}
              description={t(`team.roleHints.${role}`)}
              data={ROLES.map((value) => ({ value, label: t(`roles.${value}`) }))}
              value={role}
              onChange={(value) => value && setRole(value)}
              allowDeselect={false}
            />
            <ProblemNote problem={invite.error} />
            <Group justify="flex-end">
              <Button type="submit" loading={invite.isPending}>
                {t('team.invite')}
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Modal>
  )
}
