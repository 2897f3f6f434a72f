import {
  Alert,
  Button,
  Card,
  Center,
  Divider,
  Group,
  PasswordInput,
  Stack,
  Text,
  TextInput,
  Title,
} from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { Navigate, useNavigate } from '@tanstack/react-router'
import { type ReactNode, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { send, useChange, useOne } from '../api.ts'
import { ProblemNote } from '../parts/feedback.tsx'
import { LanguageMenu } from '../shell.tsx'
import type { Me } from '../types.ts'

export interface SetUpState {
  needed: boolean
  demo: { email: string; password: string; name?: string }[] | null
  oidc?: { name: string } | null
  codeNeeded?: boolean
}

/** The frame of the screens outside the shell. */
export function Door({ title, intro, children }: { title: string; intro?: string; children: ReactNode }) {
  return (
    <Center mih="100vh" p="md" style={{ background: 'linear-gradient(180deg, #e9f6fa 0%, #f5f7f9 60%)' }}>
      <Stack w="100%" maw={440} component="main">
        <Group justify="space-between">
          <Group gap={10}>
            <img src="/izumi.svg" width={36} height={36} alt="" />
            <Text fw={700} fz={22}>
              Izumi
            </Text>
          </Group>
          <LanguageMenu />
        </Group>
        <Card padding="xl" shadow="sm">
          <Stack>
            <div>
              <Title order={1} fz={22}>
                {title}
              </Title>
              {intro && (
                <Text c="dimmed" mt={4}>
                  {intro}
                </Text>
              )}
            </div>
            {children}
          </Stack>
        </Card>
      </Stack>
    </Center>
  )
}

export function SignInScreen() {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const client = useQueryClient()
  const [email, setEmail] = useState('')
  const [password, setPassword] = useState('')
  const state = useOne<SetUpState>('/set-up')
  const signIn = useChange(
    (input: { email: string; password: string }) => send<Me>('POST', '/sign-in', { body: input }),
    {
      onDone: () => {
        client.clear()
        void navigate({ to: '/' })
      },
    },
  )
  if (state.data?.needed) return <Navigate to="/set-up" />
  return (
    <Door title={t('signIn.title')} intro={t('signIn.intro')}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          signIn.mutate({ email, password })
        }}
      >
        <Stack>
          <TextInput
            label={t('signIn.email')}
            type="email"
            autoComplete="username"
            required
            value={email}
            onChange={(event) => setEmail(event.currentTarget.value)}
          />
          <PasswordInput
            label={t('signIn.password')}
            autoComplete="current-password"
            required
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          <ProblemNote problem={signIn.error} />
          <Button type="submit" loading={signIn.isPending} fullWidth size="md">
            {t('signIn.submit')}
          </Button>
          {state.data?.oidc && (
            <Button component="a" href="/api/v1/sign-in/oidc" variant="default" fullWidth>
              {t('signIn.oidc', { name: state.data.oidc.name })}
            </Button>
          )}
        </Stack>
      </form>
      {state.data?.demo && (
        <>
          <Divider label={t('signIn.demo')} />
          <Alert variant="light" p="sm">
            <Stack gap={6}>
              {state.data.demo.map((account) => (
                <Group key={account.email} justify="space-between" wrap="nowrap">
                  <div style={{ minWidth: 0 }}>
                    <Text size="sm" fw={600}>
                      {account.name ?? account.email}
                    </Text>
                    <Text size="xs" c="dimmed" truncate>
                      {account.email}
                    </Text>
                  </div>
                  <Button size="compact-sm" variant="white" onClick={() => signIn.mutate(account)}>
                    {t('signIn.use')}
                  </Button>
                </Group>
              ))}
            </Stack>
          </Alert>
        </>
      )}
    </Door>
  )
}
