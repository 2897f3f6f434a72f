import { Button, Group, NumberInput, PasswordInput, Select, Stack, TextInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { Navigate, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { send, useChange, useOne } from '../api.ts'
import { ProblemNote } from '../parts/feedback.tsx'
import { Door, type SetUpState } from './sign-in.tsx'

const CURRENCIES = ['JPY', 'USD', 'EUR', 'GBP', 'KRW', 'SGD', 'AUD', 'TWD']

/** The first page of an empty installation: who the operator is, and its first owner. */
export function SetUpScreen() {
  const { t, i18n } = useTranslation()
  const navigate = useNavigate()
  const client = useQueryClient()
  const state = useOne<SetUpState>('/set-up')
  const [form, setForm] = useState({
    operatorName: '',
    code: 'operator',
    currency: 'JPY',
    timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    fiscalYearStartMonth: 4,
    name: '',
    email: '',
    password: '',
    setUpCode: '',
  })
  const field = (name: keyof typeof form) => ({
    value: String(form[name]),
    onChange: (event: { currentTarget: { value: string } }) => setForm({ ...form, [name]: event.currentTarget.value }),
  })
  const setUp = useChange(
    () =>
      send('POST', '/set-up', {
        body: {
          operator: {
            code: form.code,
            name: form.operatorName,
            currency: form.currency,
            timeZone: form.timeZone,
            fiscalYearStartMonth: form.fiscalYearStartMonth,
          },
          owner: { name: form.name, email: form.email, password: form.password, locale: i18n.language },
          ...(form.setUpCode ? { code: form.setUpCode } : {}),
        },
      }),
    {
      onDone: () => {
        client.clear()
        void navigate({ to: '/' })
      },
    },
  )
  if (state.data && !state.data.needed) return <Navigate to="/sign-in" />
  return (
    <Door title={t('setUp.title')} intro={t('setUp.intro')}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          setUp.mutate(undefined)
        }}
      >
        <Stack>
          <TextInput label={t('setUp.operatorName')} required {...field('operatorName')} />
          <Group grow align="flex-start">
            <Select
              label={t('setUp.currency')}
              data={CURRENCIES}
              value={form.currency}
              onChange={(value) => value && setForm({ ...form, currency: value })}
              allowDeselect={false}
            />
            <NumberInput
              label={t('setUp.fiscalYear')}
              min={1}
              max={12}
              value={form.fiscalYearStartMonth}
              onChange={(value) => setForm({ ...form, fiscalYearStartMonth: Number(value) || 4 })}
            />
          </Group>
          <Select
            label={t('setUp.timeZone')}
            searchable
            data={Intl.supportedValuesOf('timeZone')}
            value={form.timeZone}
            onChange={(value) => value && setForm({ ...form, timeZone: value })}
            allowDeselect={false}
          />
          <TextInput label={t('setUp.name')} autoComplete="name" required {...field('name')} />
          <TextInput label={t('signIn.email')} type="email" autoComplete="username" required {...field('email')} />
          <PasswordInput
            label={t('signIn.password')}
            description={t('setUp.passwordHint')}
            autoComplete="new-password"
            required
            minLength={12}
            {...field('password')}
          />
          {state.data?.codeNeeded && (
            <TextInput label={t('setUp.code')} description={t('setUp.codeHint')} required {...field('setUpCode')} />
          )}
          <ProblemNote problem={setUp.error} />
          <Button type="submit" loading={setUp.isPending} size="md">
            {t('setUp.submit')}
          </Button>
        </Stack>
      </form>
    </Door>
  )
}
