import { Anchor, Button, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { Link, useParams } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { useOne } from '../api.ts'
import { useFormat } from '../format.ts'
import { useMay, useMe } from '../me.tsx'
import { Empty, Loaded } from '../parts/feedback.tsx'
import { Page, Section, State } from '../parts/page.tsx'
import { ListTable, RowsTable } from '../parts/table.tsx'
import type { Offering, PriceCharge, PricePlan } from '../types.ts'
import { OfferingForm } from './offering-form.tsx'

export function OfferingsScreen() {
  const { t, i18n } = useTranslation()
  const may = useMay()
  const [adding, dialog] = useDisclosure(false)
  return (
    <Page
      title={t('nav.offerings')}
      intro={t('offerings.intro')}
      actions={may.operate && <Button onClick={dialog.open}>{t('offerings.add')}</Button>}
    >
      {adding && <OfferingForm offering={null} onClose={dialog.close} />}
      <Section>
        <ListTable<Offering>
          path="/offerings"
          label={t('nav.offerings')}
          rowKey={(row) => row.id}
          rowLink={(row) => `/offerings/${row.code}`}
          columns={[
            {
              title: t('common.name'),
              cell: (row) => (
                <Anchor component={Link} to={`/offerings/${row.code}`} size="sm" fw={500}>
                  {(i18n.language === 'ja' && row.nameJa) || row.name}
                </Anchor>
              ),
            },
            { title: t('offerings.family'), cell: (row) => t(`families.${row.family}`, { defaultValue: row.family }) },
            { title: t('common.state'), cell: (row) => <State value={row.state} /> },
            { title: t('offerings.plans'), cell: (row) => row.prices?.length ?? 0, number: true, from: 'sm' },
          ]}
          empty={{ title: t('offerings.empty'), hint: t('offerings.emptyHint') }}
        />
      </Section>
    </Page>
  )
}

export function OfferingScreen() {
  const { t, i18n } = useTranslation()
  const may = useMay()
  const { offering: code } = useParams({ strict: false }) as { offering: string }
  const offering = useOne<Offering>(`/offerings/${code}`)
  const me = useMe()
  const [pricing, dialog] = useDisclosure(false)
  return (
    <Loaded reading={offering}>
      {(data) => (
        <Page
          title={(i18n.language === 'ja' && data.nameJa) || data.name}
          intro={(i18n.language === 'ja' && data.descriptionJa) || data.description}
          trail={[{ label: t('nav.offerings'), to: '/offerings' }]}
          badge={<State value={data.state} />}
          actions={
            <>
              {may.own && me.party.kind !== 'customer' && (
                <Button variant="default" onClick={dialog.open}>
                  {t('offerings.newPrices')}
                </Button>
              )}
              {may.order && (
                <Button component={Link} to="/order" search={{ offering: data.code } as never}>
                  {t('nav.order')}
                </Button>
              )}
            </>
          }
        >
          {pricing && <OfferingForm offering={data} onClose={dialog.close} />}
          {data.prices.length === 0 ? (
            <Empty title={t('offerings.noPlan')} />
          ) : (
            data.prices.map((plan) => <Plan plan={plan} key={plan.id} />)
          )}
        </Page>
      )}
    </Loaded>
  )
}

function Plan({ plan }: { plan: PricePlan }) {
  const { t, i18n } = useTranslation()
  const format = useFormat()
  const price = (charge: PriceCharge) => {
    const per =
      charge.kind === 'setup'
        ? t('offerings.once')
        : charge.kind === 'monthly'
          ? t('offerings.per.month')
          : t(`offerings.per.${charge.per}`)
    return `${format.price(charge.price, plan.currency)} ${per}`
  }
  return (
    <Section
      title={t('offerings.plan', { version: plan.planVersion, seller: plan.seller })}
      hint={`${format.date(plan.effectiveFrom)} – ${plan.effectiveTo ? format.date(plan.effectiveTo) : ''}${plan.minimumTermMonths > 0 ? ` · ${t('offerings.minimumTerm', { count: plan.minimumTermMonths })}` : ''}`}
    >
      <RowsTable
        label={t('offerings.plans')}
        rows={plan.charges}
        rowKey={(charge) => charge.line}
        columns={[
          { title: t('offerings.charge'), cell: (charge) => (i18n.language === 'ja' && charge.nameJa) || charge.name },
          {
            title: t('capacity.kind'),
            cell: (charge) =>
              charge.resource ? t(`kinds.${charge.resource}`, { defaultValue: charge.resource }) : '–',
            from: 'sm',
          },
          { title: t('offerings.price'), cell: price, number: true },
          {
            title: t('offerings.tiers'),
            cell: (charge) =>
              (charge.tiers ?? []).map((tier) => (
                <Text size="xs" key={tier.from}>
                  {t('offerings.tier', {
                    from: format.number(tier.from),
                    price: format.price(tier.price, plan.currency),
                  })}
                </Text>
              )),
            number: true,
            from: 'sm',
          },
        ]}
      />
    </Section>
  )
}
