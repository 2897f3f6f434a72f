import {
  Anchor,
  Badge,
  Button,
  Card,
  Group,
  Modal,
  NumberInput,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
  Title,
} from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconPlus } from '@tabler/icons-react'
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Page as ApiPage, send, useChange, useOne } from '../api.ts'
import { useMay } from '../me.tsx'
import { Empty, Loaded, ProblemNote } from '../parts/feedback.tsx'
import { Page } from '../parts/page.tsx'
import { PoolLine } from '../parts/use-bar.tsx'
import type { Site } from '../types.ts'

/** The site's name in the reader's language. */
export function useSiteName(): (site: { name: string; nameJa: string | null }) => string {
  const { i18n } = useTranslation()
  return (site) => (i18n.language === 'ja' && site.nameJa) || site.name
}

export function SitesScreen() {
  const { t } = useTranslation()
  const may = useMay()
  const siteName = useSiteName()
  const sites = useOne<ApiPage<Site>>('/sites')
  const [adding, dialog] = useDisclosure(false)
  return (
    <Page
      title={t('nav.sites')}
      intro={t('sites.intro')}
      actions={
        may.operate && (
          <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>
            {t('sites.add')}
          </Button>
        )
      }
    >
      <Loaded reading={sites}>
        {(page) =>
          page.items.length === 0 ? (
            <Empty title={t('sites.empty')} hint={t('sites.emptyHint')} />
          ) : (
            <SimpleGrid cols={{ base: 1, md: 2 }}>
              {page.items.map((site) => (
                <Card key={site.id}>
                  <Group justify="space-between" mb="md" wrap="nowrap">
                    <div>
                      <Title order={2} fz={18}>
                        <Anchor component={Link} to={`/sites/${site.code}`} inherit c="inherit">
                          {siteName(site)}
                        </Anchor>
                      </Title>
                      <Text size="sm" c="dimmed">
                        {site.address}
                      </Text>
                    </div>
                    {site.failedAt && <Badge color="red">{t('sites.failed')}</Badge>}
                  </Group>
                  <Stack gap="sm">
                    {site.pools.map((pool) => (
                      <PoolLine key={pool.id} pool={pool} />
                    ))}
                  </Stack>
                </Card>
              ))}
            </SimpleGrid>
          )
        }
      </Loaded>
      <AddSite opened={adding} onClose={dialog.close} />
    </Page>
  )
}

function AddSite({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const [form, setForm] = useState({ code: '', name: '', nameJa: '', address: '' })
  const [coveredFailures, setCovered] = useState<number | string>(1)
  const add = useChange(
    () =>
      send<Site>('POST', '/sites', {
        body: {
          code: form.code,
          name: form.name,
          ...(form.nameJa ? { nameJa: form.nameJa } : {}),
          ...(form.address ? { address: form.address } : {}),
          coveredFailures: Number(coveredFailures),
        },
      }),
    { onDone: (site) => void navigate({ to: `/sites/${site.code}` }) },
  )
  const field = (name: keyof typeof form) => ({
    value: form[name],
    onChange: (event: { currentTarget: { value: string } }) => setForm({ ...form, [name]: event.currentTarget.value }),
  })
  return (
    <Modal opened={opened} onClose={onClose} title={t('sites.add')}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          add.mutate(undefined)
        }}
      >
        <Stack>
          <TextInput label={t('common.name')} required {...field('name')} />
          <TextInput label={t('common.nameJa')} {...field('nameJa')} />
          <TextInput label={t('common.code')} description={t('common.codeHint')} required {...field('code')} />
          <TextInput label={t('common.address')} {...field('address')} />
          <NumberInput
            label={t('sites.coveredFailures')}
            description={t('sites.coveredFailuresHint')}
            min={1}
            max={3}
            value={coveredFailures}
            onChange={setCovered}
          />
          <ProblemNote problem={add.error} />
          <Button type="submit" loading={add.isPending}>
            {t('sites.add')}
          </Button>
        </Stack>
      </form>
    </Modal>
  )
}
