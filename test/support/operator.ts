/** Sets up an operator over HTTP with a few sites that have plenty, for tests that load a whole server. */
import assert from 'node:assert/strict'

export interface TestOperator {
  headers: Record<string, string>
  sites: string[]
  partyId: string
}

/** Runs the set-up, makes an API key, and furnishes `sites` sites with pools of power and bandwidth. */
export async function operatorWithCapacity(
  url: string,
  options: { sites: number; quantity: number; kinds?: string[] },
): Promise<TestOperator> {
  const post = async (path: string, body: unknown, headers: Record<string, string>) => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
    const text = await response.text()
    assert.ok(response.ok, `${path}: ${response.status} ${text}`)
    return { json: JSON.parse(text), cookie: response.headers.get('set-cookie')?.split(';')[0] ?? '' }
  }
  const owner = { name: 'Test Owner', email: 'owner@example.net', password: 'correct horse battery' }
  const { json: me, cookie } = await post(
    '/set-up',
    { operator: { code: 'operator', name: 'Test Operator' }, owner },
    {},
  )
  const { json: key } = await post('/api-keys', { name: 'load', role: 'owner', scopes: ['*'] }, { cookie, origin: url })
  const headers = { authorization: `Bearer ${key.secret}`, 'content-type': 'application/json' }
  const kinds = options.kinds ?? ['power', 'bandwidth']
  const known = (await (await fetch(`${url}/api/v1/resource-kinds`, { headers })).json()) as {
    items: { code: string }[]
  }
  for (const kind of kinds)
    if (!known.items.some(({ code }) => code === kind))
      await post('/resource-kinds', { code: kind, name: kind, unit: 'unit', identified: false }, headers)
  const sites: string[] = []
  for (let index = 1; index <= options.sites; index++) {
    const code = `site-${index}`
    sites.push(code)
    await post('/sites', { code, name: `Site ${index}` }, headers)
    for (const kind of kinds)
      await post('/pools', { site: code, kind, name: kind, quantity: options.quantity }, headers)
  }
  return { headers, sites, partyId: me.party.id }
}
