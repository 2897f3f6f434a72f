/** The frame around every screen for people who are signed in: navigation on the left, who and which language above. */
import {
  AppShell,
  Box,
  Burger,
  Button,
  Center,
  Divider,
  Group,
  Loader,
  Menu,
  NavLink,
  ScrollArea,
  Stack,
  Text,
  UnstyledButton,
} from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import {
  type Icon,
  IconBuilding,
  IconChartBar,
  IconChartLine,
  IconChevronDown,
  IconClipboardList,
  IconFileInvoice,
  IconFileText,
  IconHistory,
  IconHome,
  IconKey,
  IconLanguage,
  IconLogout,
  IconPlus,
  IconServer2,
  IconShieldCheck,
  IconStack2,
  IconTags,
  IconUsers,
  IconUsersGroup,
  IconWebhook,
} from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { Link, Navigate, Outlet, useLocation, useNavigate } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { Problem, send, useOne } from './api.ts'
import { MeContext } from './me.tsx'
import { Empty, ProblemNote } from './parts/feedback.tsx'
import { chooseLanguage, LANGUAGES } from './text/start.ts'
import type { Me, PartyKind } from './types.ts'

interface Entry {
  to: string
  text: string
  icon: Icon
  for?: PartyKind[]
}

const GROUPS: { text: string | null; entries: Entry[] }[] = [
  { text: null, entries: [{ to: '/', text: 'nav.home', icon: IconHome }] },
  {
    text: 'nav.capacity',
    entries: [
      { to: '/sites', text: 'nav.sites', icon: IconServer2 },
      { to: '/forecasts', text: 'nav.forecasts', icon: IconChartLine, for: ['operator'] },
      { to: '/protection', text: 'nav.protection', icon: IconShieldCheck },
    ],
  },
  {
    text: 'nav.sales',
    entries: [
      { to: '/parties', text: 'nav.customers', icon: IconBuilding, for: ['operator', 'reseller'] },
      { to: '/offerings', text: 'nav.offerings', icon: IconTags },
      { to: '/quotes', text: 'nav.quotes', icon: IconFileText },
      { to: '/orders', text: 'nav.orders', icon: IconClipboardList },
      { to: '/contracts', text: 'nav.contracts', icon: IconUsersGroup },
      { to: '/services', text: 'nav.services', icon: IconStack2 },
    ],
  },
  {
    text: 'nav.money',
    entries: [
      { to: '/invoices', text: 'nav.invoices', icon: IconFileInvoice },
      { to: '/results', text: 'nav.results', icon: IconChartBar, for: ['operator'] },
    ],
  },
  {
    text: 'nav.settings',
    entries: [
      { to: '/team', text: 'nav.team', icon: IconUsers },
      { to: '/keys', text: 'nav.keys', icon: IconKey },
      { to: '/webhooks', text: 'nav.webhooks', icon: IconWebhook },
      { to: '/audit', text: 'nav.audit', icon: IconHistory },
    ],
  },
]

export function Shell() {
  const me = useOne<Me>('/me')
  const { t } = useTranslation()
  if (me.error instanceof Problem && me.error.status === 401) return <Navigate to="/sign-in" />
  if (me.error)
    return (
      <Center h="100vh" p="lg">
        <ProblemNote problem={me.error} onRetry={() => me.refetch()} />
      </Center>
    )
  if (!me.data)
    return (
      <Center h="100vh">
        <Loader aria-label={t('common.loading')} />
      </Center>
    )
  return (
    <MeContext value={me.data}>
      <Frame me={me.data} />
    </MeContext>
  )
}

function Frame({ me }: { me: Me }) {
  const { t } = useTranslation()
  const [open, { toggle, close }] = useDisclosure(false)
  const { pathname } = useLocation()
  const active = (to: string) => (to === '/' ? pathname === '/' : pathname === to || pathname.startsWith(`${to}/`))
  const orders = me.user?.role === 'owner' || me.user?.role === 'engineer'
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 236, breakpoint: 'md', collapsed: { mobile: !open } }}
      padding={{ base: 'md', sm: 'xl' }}
    >
      <a className="skip-link" href="#main">
        {t('nav.skip')}
      </a>
      <AppShell.Header px="md">
        <Group h="100%" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger opened={open} onClick={toggle} hiddenFrom="md" size="sm" aria-label={t('nav.menu')} />
            <UnstyledButton component={Link} to="/" aria-label="Izumi">
              <Group gap={8} wrap="nowrap">
                <img src="/izumi.svg" width={28} height={28} alt="" />
                <Text fw={700} fz={18} style={{ letterSpacing: '-0.02em' }}>
                  Izumi
                </Text>
              </Group>
            </UnstyledButton>
            <Text c="dimmed" size="sm" visibleFrom="sm" truncate maw={280}>
              {me.party.kind === 'operator'
                ? me.operator.name
                : t('nav.partyAt', { party: me.party.name, operator: me.operator.name })}
            </Text>
          </Group>
          <Group gap="xs" wrap="nowrap">
            {orders && (
              <Button component={Link} to="/order" size="xs" leftSection={<IconPlus size={15} />}>
                {t('nav.order')}
              </Button>
            )}
            <LanguageMenu />
            <PersonMenu me={me} />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="sm">
        <ScrollArea type="auto" style={{ flex: 1 }} component="nav" aria-label={t('nav.main')}>
          <Stack gap={4}>
            {GROUPS.map((group) => {
              const entries = group.entries.filter((entry) => !entry.for || entry.for.includes(me.party.kind))
              if (entries.length === 0) return null
              return (
                <Box key={group.text ?? 'top'}>
                  {group.text && (
                    <Text size="xs" fw={600} c="dimmed" px="sm" pt="sm" pb={4}>
                      {t(group.text)}
                    </Text>
                  )}
                  {entries.map((entry) => (
                    <NavLink
                      key={entry.to}
                      component={Link}
                      to={entry.to}
                      label={t(entry.text)}
                      leftSection={<entry.icon size={18} stroke={1.6} />}
                      active={active(entry.to)}
                      aria-current={active(entry.to) ? 'page' : undefined}
                      onClick={close}
                      style={{ borderRadius: 8 }}
                      py={7}
                    />
                  ))}
                </Box>
              )
            })}
          </Stack>
        </ScrollArea>
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1}>
        <Outlet />
      </AppShell.Main>
    </AppShell>
  )
}

export function LanguageMenu() {
  const { t, i18n } = useTranslation()
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button variant="subtle" color="gray" size="xs" px={8} aria-label={t('nav.language')}>
          <IconLanguage size={18} />
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {LANGUAGES.map(({ code, name }) => (
          <Menu.Item
            key={code}
            lang={code}
            onClick={() => chooseLanguage(code)}
            fw={i18n.language === code ? 700 : 400}
          >
            {name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  )
}

function PersonMenu({ me }: { me: Me }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const client = useQueryClient()
  const signOut = async () => {
    await send('POST', '/sign-out')
    client.clear()
    await navigate({ to: '/sign-in' })
  }
  return (
    <Menu position="bottom-end" width={230}>
      <Menu.Target>
        <Button
          variant="subtle"
          color="gray"
          size="xs"
          px={8}
          rightSection={<IconChevronDown size={14} />}
          aria-label={t('nav.account')}
        >
          <Text size="sm" truncate maw={130} visibleFrom="xs">
            {me.user?.name}
          </Text>
          <IconUsers size={17} className="mantine-hidden-from-xs" />
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Box px="sm" py={6}>
          <Text size="sm" fw={600}>
            {me.user?.name}
          </Text>
          <Text size="xs" c="dimmed">
            {me.user?.email}
          </Text>
          <Text size="xs" c="dimmed">
            {me.party.name} · {t(`roles.${me.user?.role}`)}
          </Text>
        </Box>
        <Divider />
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={signOut}>
          {t('nav.signOut')}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}

export function NotHere() {
  const { t } = useTranslation()
  return (
    <Center h="70vh">
      <Empty
        title={t('common.notHere')}
        hint={t('common.notHereHint')}
        action={
          <Button component={Link} to="/" variant="light">
            {t('nav.home')}
          </Button>
        }
      />
    </Center>
  )
}
