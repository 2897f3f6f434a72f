import { Button, PasswordInput, Stack, TextInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useNavigate, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { send, useChange, useOne } from '../api.ts'
import { Loaded, ProblemNote } from '../parts/feedback.tsx'
import { Door } from './sign-in.tsx'

interface Invitation {
  email: string
  role: string
  partyName: string
}

export function InvitationScreen() {
  const { t } = useTranslation()
  const { token } = useParams({ strict: false }) as { token: string }
  const navigate = useNavigate()
  const client = useQueryClient()
  const invitation = useOne<Invitation>(`/invitations/${token}`)
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  const accept = useChange(() => send('POST', `/invitations/${token}`, { body: { name, password } }), {
    onDone: () => {
      client.clear()
      void navigate({ to: '/' })
    },
  })
  return (
    <Door title={t('invitation.title')}>
      <Loaded reading={invitation} lines={4}>
        {(data) => (
          <form
            onSubmit={(event) => {
              event.preventDefault()
              accept.mutate(undefined)
            }}
          >
            <Stack>
              <div>{t('invitation.intro', { party: data.partyName, role: t(`roles.${data.role}`) })}</div>
              <TextInput label={t('signIn.email')} value={data.email} readOnly />
              <TextInput
                label={t('setUp.name')}
                required
                autoComplete="name"
                value={name}
                onChange={(event) => setName(event.currentTarget.value)}
              />
              <PasswordInput
                label={t('signIn.password')}
                description={t('setUp.passwordHint')}
                autoComplete="new-password"
                required
                minLength={12}
                value={password}
                onChange={(event) => setPassword(event.currentTarget.value)}
              />
              <ProblemNote problem={accept.error} />
              <Button type="submit" loading={accept.isPending}>
                {t('invitation.submit')}
              </Button>
            </Stack>
          </form>
        )}
      </Loaded>
    </Door>
  )
}
