/** Every address of the portal and the screen behind it. */
import { createRootRoute, createRoute, createRouter, Outlet } from '@tanstack/react-router'
import { AuditScreen } from './screens/audit.tsx'
import { ContractScreen, ContractsScreen } from './screens/contracts.tsx'
import { ForecastsScreen } from './screens/forecasts.tsx'
import { HomeScreen } from './screens/home.tsx'
import { InvitationScreen } from './screens/invitation.tsx'
import { InvoiceScreen, InvoicesScreen } from './screens/invoices.tsx'
import { KeysScreen } from './screens/keys.tsx'
import { OfferingScreen, OfferingsScreen } from './screens/offerings.tsx'
import { OrderFormScreen } from './screens/order-form.tsx'
import { OrdersScreen } from './screens/orders.tsx'
import { PartiesScreen, PartyScreen } from './screens/parties.tsx'
import { PoolScreen } from './screens/pool.tsx'
import { ProtectionScreen } from './screens/protection.tsx'
import { QuotesScreen } from './screens/quotes.tsx'
import { ResultsScreen } from './screens/results.tsx'
import { ServiceScreen, ServicesScreen } from './screens/services.tsx'
import { SetUpScreen } from './screens/set-up.tsx'
import { SignInScreen } from './screens/sign-in.tsx'
import { SiteScreen } from './screens/site.tsx'
import { SitesScreen } from './screens/sites.tsx'
import { TeamScreen } from './screens/team.tsx'
import { WebhooksScreen } from './screens/webhooks.tsx'
import { NotHere, Shell } from './shell.tsx'

const root = createRootRoute({ component: Outlet, notFoundComponent: NotHere })
const outside = (path: string, component: () => React.ReactNode) =>
  createRoute({ getParentRoute: () => root, path, component })

const shell = createRoute({ getParentRoute: () => root, id: 'shell', component: Shell })
const inside = (path: string, component: () => React.ReactNode) =>
  createRoute({ getParentRoute: () => shell, path, component })

const tree = root.addChildren([
  outside('/sign-in', SignInScreen),
  outside('/set-up', SetUpScreen),
  outside('/invitations/$token', InvitationScreen),
  shell.addChildren([
    inside('/', HomeScreen),
    inside('/sites', SitesScreen),
    inside('/sites/$site', SiteScreen),
    inside('/pools/$pool', PoolScreen),
    inside('/forecasts', ForecastsScreen),
    inside('/protection', ProtectionScreen),
    inside('/parties', PartiesScreen),
    inside('/parties/$party', PartyScreen),
    inside('/offerings', OfferingsScreen),
    inside('/offerings/$offering', OfferingScreen),
    inside('/order', OrderFormScreen),
    inside('/orders', OrdersScreen),
    inside('/quotes', QuotesScreen),
    inside('/contracts', ContractsScreen),
    inside('/contracts/$contract', ContractScreen),
    inside('/services', ServicesScreen),
    inside('/services/$service', ServiceScreen),
    inside('/invoices', InvoicesScreen),
    inside('/invoices/$invoice', InvoiceScreen),
    inside('/results', ResultsScreen),
    inside('/audit', AuditScreen),
    inside('/team', TeamScreen),
    inside('/keys', KeysScreen),
    inside('/webhooks', WebhooksScreen),
  ]),
])

export const router = createRouter({ routeTree: tree, scrollRestoration: true })
