/** Every address of the portal and the screen behind it. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet } from '@tanstack/react-router'
import { NotHere, Shell } from './shell.tsx'

/** Each screen is loaded when it is first opened. */
const root = createRootRoute({ component: Outlet, notFoundComponent: NotHere })
const outside = (path: string, component: ReturnType<typeof lazyRouteComponent>) =>
  createRoute({ getParentRoute: () => root, path, component })

const shell = createRoute({ getParentRoute: () => root, id: 'shell', component: Shell })
const inside = (path: string, component: ReturnType<typeof lazyRouteComponent>) =>
  createRoute({ getParentRoute: () => shell, path, component })

const tree = root.addChildren([
  outside(
    '/sign-in',
    lazyRouteComponent(() => import('./screens/sign-in.tsx'), 'SignInScreen'),
  ),
  outside(
    '/set-up',
    lazyRouteComponent(() => import('./screens/set-up.tsx'), 'SetUpScreen'),
  ),
  outside(
    '/invitations/$token',
    lazyRouteComponent(() => import('./screens/invitation.tsx'), 'InvitationScreen'),
  ),
  shell.addChildren([
    inside(
      '/',
      lazyRouteComponent(() => import('./screens/home.tsx'), 'HomeScreen'),
    ),
    inside(
      '/sites',
      lazyRouteComponent(() => import('./screens/sites.tsx'), 'SitesScreen'),
    ),
    inside(
      '/sites/$site',
      lazyRouteComponent(() => import('./screens/site.tsx'), 'SiteScreen'),
    ),
    inside(
      '/pools/$pool',
      lazyRouteComponent(() => import('./screens/pool.tsx'), 'PoolScreen'),
    ),
    inside(
      '/forecasts',
      lazyRouteComponent(() => import('./screens/forecasts.tsx'), 'ForecastsScreen'),
    ),
    inside(
      '/protection',
      lazyRouteComponent(() => import('./screens/protection.tsx'), 'ProtectionScreen'),
    ),
    inside(
      '/parties',
      lazyRouteComponent(() => import('./screens/parties.tsx'), 'PartiesScreen'),
    ),
    inside(
      '/parties/$party',
      lazyRouteComponent(() => import('./screens/parties.tsx'), 'PartyScreen'),
    ),
    inside(
      '/offerings',
      lazyRouteComponent(() => import('./screens/offerings.tsx'), 'OfferingsScreen'),
    ),
    inside(
      '/offerings/$offering',
      lazyRouteComponent(() => import('./screens/offerings.tsx'), 'OfferingScreen'),
    ),
    inside(
      '/order',
      lazyRouteComponent(() => import('./screens/order-form.tsx'), 'OrderFormScreen'),
    ),
    inside(
      '/orders',
      lazyRouteComponent(() => import('./screens/orders.tsx'), 'OrdersScreen'),
    ),
    inside(
      '/quotes',
      lazyRouteComponent(() => import('./screens/quotes.tsx'), 'QuotesScreen'),
    ),
    inside(
      '/contracts',
      lazyRouteComponent(() => import('./screens/contracts.tsx'), 'ContractsScreen'),
    ),
    inside(
      '/contracts/$contract',
      lazyRouteComponent(() => import('./screens/contracts.tsx'), 'ContractScreen'),
    ),
    inside(
      '/services',
      lazyRouteComponent(() => import('./screens/services.tsx'), 'ServicesScreen'),
    ),
    inside(
      '/services/$service',
      lazyRouteComponent(() => import('./screens/services.tsx'), 'ServiceScreen'),
    ),
    inside(
      '/invoices',
      lazyRouteComponent(() => import('./screens/invoices.tsx'), 'InvoicesScreen'),
    ),
    inside(
      '/invoices/$invoice',
      lazyRouteComponent(() => import('./screens/invoices.tsx'), 'InvoiceScreen'),
    ),
    inside(
      '/results',
      lazyRouteComponent(() => import('./screens/results.tsx'), 'ResultsScreen'),
    ),
    inside(
      '/audit',
      lazyRouteComponent(() => import('./screens/audit.tsx'), 'AuditScreen'),
    ),
    inside(
      '/team',
      lazyRouteComponent(() => import('./screens/team.tsx'), 'TeamScreen'),
    ),
    inside(
      '/keys',
      lazyRouteComponent(() => import('./screens/keys.tsx'), 'KeysScreen'),
    ),
    inside(
      '/webhooks',
      lazyRouteComponent(() => import('./screens/webhooks.tsx'), 'WebhooksScreen'),
    ),
  ]),
])

export const router = createRouter({ routeTree: tree, scrollRestoration: true })
