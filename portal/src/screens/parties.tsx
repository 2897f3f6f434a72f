import { Anchor, Button, Modal, Select, SimpleGrid, Stack, TextInput } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconPlus } from '@tabler/icons-react'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Page as ApiPage, send, useChange, useOne } from '../api.ts'
import { useFormat } from '../format.ts'
import { useMay, useMe } from '../me.tsx'
import { Loaded, ProblemNote } from '../parts/feedback.tsx'
import { Facts, Page, Section, State } from '../parts/page.tsx'
import { Quotas } from '../parts/quotas.tsx'
import { type Column, ListTable } from '../parts/table.tsx'
import type { Contract, Invoice, Party, Service } from '../types.ts'
import { contractColumns } from './contracts.tsx'
import { invoiceColumns } from './invoices.tsx'
import { serviceColumns } from './services.tsx'

export function PartiesScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const may = useMay()
  const [adding, dialog] = useDisclosure(false)
  const columns: Column<Party>[] = [
    {
      title: t('common.name'),
      cell: (row) => (
        <Anchor component={Link} to={`/parties/${row.id}`} size="sm" fw={500}>
          {row.name}
        </Anchor>
      ),
    },
    { title: t('common.code'), cell: (row) => row.code, from: 'md' },
    { title: t('parties.kind'), cell: (row) => t(`parties.kinds.${row.kind}`) },
    { title: t('parties.parent'), cell: (row) => row.parentName ?? '–', from: 'sm' },
    { title: t('common.state'), cell: (row) => <State value={row.status} />, from: 'sm' },
    { title: t('common.since'), cell: (row) => format.date(row.createdAt), number: true, from: 'md' },
  ]
  return (
    <Page
      title={t('nav.customers')}
      intro={t('parties.intro')}
      actions={
        may.own && (
          <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>
            {t('parties.add')}
          </Button>
        )
      }
    >
      <Section>
        <ListTable<Party>
          path="/parties"
          label={t('nav.customers')}
          columns={columns}
          rowKey={(row) => row.id}
          rowLink={(row) => `/parties/${row.id}`}
          filters={[
            {
              name: 'kind',
              label: t('parties.kind'),
              options: ['reseller', 'customer'].map((value) => ({ value, label: t(`parties.kinds.${value}`) })),
            },
          ]}
          empty={{ title: t('parties.empty'), hint: t('parties.emptyHint') }}
        />
      </Section>
      <AddParty opened={adding} onClose={dialog.close} />
    </Page>
  )
}

function AddParty({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTranslation()
  const me = useMe()
  const navigate = useNavigate()
  const resellers = useOne<ApiPage<Party>>('/parties', { kind: 'reseller', limit: 200 })
  const [form, setForm] = useState({
    kind: 'customer',
    parent: me.party.id,
    code: '',
    name: '',
    email: '',
    address: '',
  })
  const field = (name: keyof typeof form) => ({
    value: form[name],
    onChange: (event: { currentTarget: { value: string } }) => setForm({ ...form, [name]: event.currentTarget.value }),
  })
  const add = useChange(
    () =>
      send<Party>('POST', '/parties', {
        body: {
          kind: form.kind,
          parent: form.parent,
          code: form.code,
          name: form.name,
          ...(form.email ? { email: form.email } : {}),
          ...(form.address ? { address: form.address } : {}),
        },
      }),
    { onDone: (party) => void navigate({ to: `/parties/${party.id}` }) },
  )
  return (
    <Modal opened={opened} onClose={onClose} title={t('parties.add')}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          add.mutate(undefined)
        }}
      >
        <Stack>
          <Select
            label={t('parties.kind')}
            data={['customer', 'reseller'].map((value) => ({ value, label: t(`parties.kinds.${value}`) }))}
            value={form.kind}
            onChange={(value) => value && setForm({ ...form, kind: value })}
            allowDeselect={false}
          />
          <Select
            label={t('parties.parent')}
            data={[
              { value: me.party.id, label: me.party.name },
              ...(resellers.data?.items ?? [])
                .filter((party) => party.id !== me.party.id)
                .map((party) => ({ value: party.id, label: party.name })),
            ]}
            value={form.parent}
            onChange={(value) => value && setForm({ ...form, parent: value })}
            allowDeselect={false}
            searchable
          />
          <TextInput label={t('common.name')} required {...field('name')} />
          <TextInput label={t('common.code')} description={t('common.codeHint')} required {...field('code')} />
          <TextInput label={t('signIn.email')} type="email" {...field('email')} />
          <TextInput label={t('common.address')} {...field('address')} />
          <ProblemNote problem={add.error} />
          <Button type="submit" loading={add.isPending}>
            {t('parties.add')}
          </Button>
        </Stack>
      </form>
    </Modal>
  )
}

export function PartyScreen() {
  const { t } = useTranslation()
  const format = useFormat()
  const { party: id } = useParams({ strict: false }) as { party: string }
  const party = useOne<Party>(`/parties/${id}`)
  const me = useMe()
  const may = useMay()
  return (
    <Loaded reading={party}>
      {(data) => (
        <Page
          title={data.name}
          trail={[{ label: t('nav.customers'), to: '/parties' }]}
          badge={<State value={data.status} />}
          actions={
            <Button component={Link} to="/order" search={{ party: data.id } as never} variant="light">
              {t('parties.orderFor')}
            </Button>
          }
        >
          <Section>
            <Facts
              facts={[
                [t('parties.kind'), t(`parties.kinds.${data.kind}`)],
                [t('parties.parent'), data.parentName],
                [t('signIn.email'), data.email],
                [t('common.address'), data.address],
                [t('setUp.currency'), data.currency],
                [t('common.since'), format.date(data.createdAt)],
              ]}
            />
          </Section>
          {data.kind !== 'operator' && (
            <Section title={t('quotas.title')} hint={t('quotas.hint')}>
              <Quotas partyId={data.id} mayChange={may.order && data.id !== me.party.id} />
            </Section>
          )}
          <Section title={t('nav.services')}>
            <ListTable<Service>
              path="/services"
              query={{ party: data.id }}
              label={t('nav.services')}
              columns={serviceColumns(t, format, false)}
              rowKey={(row) => row.id}
              rowLink={(row) => `/services/${row.id}`}
              empty={{ title: t('services.none') }}
            />
          </Section>
          <SimpleGrid cols={{ base: 1, lg: 2 }}>
            <Section title={t('nav.contracts')}>
              <ListTable<Contract>
                path="/contracts"
                query={{ party: data.id }}
                label={t('nav.contracts')}
                columns={contractColumns(t, format, false)}
                rowKey={(row) => row.id}
                rowLink={(row) => `/contracts/${row.id}`}
                empty={{ title: t('contracts.empty') }}
                search={false}
              />
            </Section>
            <Section title={t('nav.invoices')}>
              <ListTable<Invoice>
                path="/invoices"
                query={{ party: data.id }}
                label={t('nav.invoices')}
                columns={invoiceColumns(t, format, false)}
                rowKey={(row) => row.id}
                rowLink={(row) => `/invoices/${row.id}`}
                empty={{ title: t('invoices.empty') }}
                search={false}
              />
            </Section>
          </SimpleGrid>
        </Page>
      )}
    </Loaded>
  )
}
