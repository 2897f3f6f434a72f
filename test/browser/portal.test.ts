/**
 * The journeys of the portal in a real browser, against a real server with the demonstration provider: sign in, order,
 * hand back, racks, capacity over time, an invoice down to its arithmetic, results, a fail-over drill; in English and
 * Japanese, on a wide and a narrow screen. Pictures are kept in `test/browser/screenshots/`.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { browserMissing, openBrowser, openPage, picture, sticksOut, WIDTHS, type Width } from '../support/browser.ts'
import { startServer, type TestServer } from '../support/process.ts'

const OPERATOR = 'operator@izumi.example'
const CUSTOMER = 'customer@umi-video.example'

let server: TestServer
let browser: Browser
before(async () => {
  if (browserMissing) return
  ;[server, browser] = await Promise.all([startServer({ demo: true }), openBrowser()])
})
after(async () => {
  await browser?.close()
  await server?.stop()
})

const options = { skip: browserMissing }
const words = {
  en: { signIn: 'Sign in', email: 'E-mail' },
  ja: { signIn: 'サインイン', email: 'メールアドレス' },
}

async function signIn(page: Page, email: string, language: 'en' | 'ja' = 'en'): Promise<void> {
  const { demo } = (await (await fetch(`${server.url}/api/v1/set-up`)).json()) as {
    demo: { email: string; password: string }[]
  }
  const account = demo.find((candidate) => candidate.email === email)
  assert.ok(account, `${email} is among ${demo.map((candidate) => candidate.email)}`)
  await page.goto('/sign-in')
  await page.getByLabel(words[language].email).fill(account.email)
  await page.locator('input[type=password]').fill(account.password)
  await page.getByRole('button', { name: words[language].signIn, exact: true }).first().click()
  await page.getByRole('navigation').first().waitFor({ state: 'attached' })
  await page.waitForURL((url) => url.pathname === '/')
}

/** Waits until nothing on the page is loading. */
const settled = async (page: Page) => {
  await page.waitForLoadState('networkidle')
  await page.waitForFunction(() => document.querySelectorAll('[role=status]').length === 0)
}

test('a wrong password is refused in words', options, async () => {
  const { page } = await openPage(browser, server.url, 'en', 'wide')
  await page.goto('/sign-in')
  await page.getByLabel('E-mail').fill(OPERATOR)
  await page.locator('input[type=password]').fill('not the password')
  await page.getByRole('button', { name: 'Sign in', exact: true }).first().click()
  await page.getByRole('alert').waitFor()
  await page.context().close()
})

const SCREENS: [name: string, path: string][] = [
  ['overview', '/'],
  ['sites', '/sites'],
  ['site', '/sites/yokohama-1'],
  ['forecasts', '/forecasts'],
  ['protection', '/protection'],
  ['customers', '/parties'],
  ['offerings', '/offerings'],
  ['offering', '/offerings/colocation-monthly'],
  ['quotes', '/quotes'],
  ['orders', '/orders'],
  ['contracts', '/contracts'],
  ['services', '/services'],
  ['invoices', '/invoices'],
  ['results', '/results'],
  ['team', '/team'],
  ['keys', '/keys'],
  ['webhooks', '/webhooks'],
  ['audit', '/audit'],
  ['order', '/order'],
]

for (const language of ['en', 'ja'] as const)
  for (const width of Object.keys(WIDTHS) as Width[])
    test(`every screen of the operator, ${language}, ${width}`, options, async () => {
      const { page, errors } = await openPage(browser, server.url, language, width)
      await page.goto('/sign-in')
      await settled(page)
      await picture(page, `${language}-${width}-sign-in`)
      await signIn(page, OPERATOR, language)
      for (const [name, path] of SCREENS) {
        await page.goto(path)
        await settled(page)
        assert.equal(await page.getByRole('alert').count(), 0, `${name} shows a problem`)
        await page.getByRole('heading', { level: 1 }).first().waitFor()
        await picture(page, `${language}-${width}-${name}`)
        assert.equal(await sticksOut(page), false, `${name} sticks out of ${WIDTHS[width].width} px`)
      }
      assert.deepEqual(errors, [])
      await page.context().close()
    })

test('the capacity chart draws supply and use, and changes its window', options, async () => {
  const { page } = await openPage(browser, server.url, 'en', 'wide')
  await signIn(page, OPERATOR)
  const chart = page.getByRole('img', { name: /Capacity over time/ }).first()
  await chart.waitFor()
  const drawn = () =>
    page.evaluate(() => {
      const canvas = document.querySelector<HTMLCanvasElement>('.chart canvas')!
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height)
      let inked = 0
      for (let index = 3; index < data.length; index += 4) if (data[index]! > 0) inked++
      return inked
    })
  await page.waitForSelector('.chart canvas')
  assert.ok((await drawn()) > 5_000, 'the canvas has lines and areas')
  await page.getByText('5 years').click()
  await settled(page)
  await page.waitForSelector('.chart canvas')
  assert.ok((await drawn()) > 5_000)
  await page.context().close()
})

test('the rack elevation shows who is where, and the floor opens a row', options, async () => {
  const { page } = await openPage(browser, server.url, 'en', 'wide')
  await signIn(page, OPERATOR)
  await page.goto('/sites/yokohama-1')
  await page.getByRole('tab', { name: 'Racks and floor' }).click()
  await settled(page)
  assert.ok((await page.getByRole('img', { name: /\d+–\d+/ }).count()) > 0, 'at least one rack has an assignment')
  await page.getByRole('button', { name: /^B01/ }).click()
  await page.getByRole('img', { name: /^B01/ }).waitFor()
  await picture(page, 'en-wide-racks')
  await page.getByRole('tab', { name: 'Steps' }).click()
  for (const total of ['39,165', '12,911', '2,199', '315'])
    await page.getByRole('cell', { name: total, exact: true }).first().waitFor()
  await picture(page, 'en-wide-steps')
  await page.context().close()
})

for (const width of Object.keys(WIDTHS) as Width[])
  test(`a customer takes rack space and power at once, grows it, and hands it back, ${width}`, options, async () => {
    const { page, errors } = await openPage(browser, server.url, 'en', width)
    await signIn(page, CUSTOMER)
    await settled(page)
    await picture(page, `en-${width}-customer-home`)
    await page.goto('/order?offering=colocation-hourly')
    await page
      .getByRole('radio', { name: /Yokohama 1/ })
      .first()
      .click()
    await page.getByLabel('Rack units', { exact: true }).fill('4')
    await page.getByLabel('Power', { exact: true }).fill('2')
    await page.getByTestId('monthly').waitFor()
    await page.getByText('Free for the whole time.').waitFor()
    await page.getByLabel('Name of the service').fill(`Browser test ${width}`)
    await settled(page)
    await picture(page, `en-${width}-customer-order`)
    await page.getByRole('button', { name: 'Take it now' }).click()
    await page.waitForURL(/\/services\/[0-9a-f-]{36}/)
    await page.getByRole('heading', { name: `Browser test ${width}` }).waitFor()
    await page
      .getByRole('row', { name: /Rack units.*4 U/ })
      .first()
      .waitFor()
    await settled(page)
    await picture(page, `en-${width}-customer-service`)

    await page.getByRole('button', { name: 'Change', exact: true }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Rack units', { exact: true }).fill('6')
    await dialog.getByRole('button', { name: 'Change', exact: true }).click()
    await dialog.waitFor({ state: 'hidden' })
    await page
      .getByRole('row', { name: /Rack units.*6 U/ })
      .first()
      .waitFor()

    await page.getByRole('button', { name: 'Terminate', exact: true }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Terminate', exact: true }).click()
    await page.getByText('terminated', { exact: true }).first().waitFor()
    assert.deepEqual(errors, [])
    await page.context().close()
  })

test('what is not free is said before and after one tries to take it', options, async () => {
  const { page } = await openPage(browser, server.url, 'en', 'wide')
  await signIn(page, CUSTOMER)
  await page.goto('/order?offering=colocation-hourly')
  await page
    .getByRole('radio', { name: /Saitama 1/ })
    .first()
    .click()
  await page.getByLabel('Power', { exact: true }).fill('90000')
  await page.getByText('Not all of it is free.').waitFor()
  await page.getByRole('button', { name: 'Take it now' }).click()
  await page.getByRole('alert').filter({ hasText: 'Not enough is free' }).waitFor()
  await page.context().close()
})

test('an invoice opens to its arithmetic and downloads as PDF', options, async () => {
  const { page } = await openPage(browser, server.url, 'en', 'wide')
  await signIn(page, CUSTOMER)
  await page.goto('/invoices')
  await settled(page)
  await page.getByRole('table', { name: 'Invoices' }).getByRole('link').first().click()
  await page.waitForURL(/\/invoices\/[0-9a-f-]{36}/)
  await settled(page)
  await picture(page, 'en-wide-invoice')
  await page.getByRole('table', { name: 'Lines' }).getByRole('button').first().click()
  await page.getByRole('dialog').getByRole('link').first().waitFor()
  await picture(page, 'en-wide-invoice-line')
  await page.keyboard.press('Escape')
  const pdf = await page.request.get((await page.getByRole('link', { name: 'PDF' }).getAttribute('href'))!)
  assert.equal(pdf.headers()['content-type'], 'application/pdf')
  assert.equal((await pdf.body()).subarray(0, 5).toString(), '%PDF-')
  await page.context().close()
})

test('a fail-over drill turns standby firm and back', options, async () => {
  const { page } = await openPage(browser, server.url, 'en', 'wide')
  await signIn(page, OPERATOR)
  await page.goto('/protection')
  await settled(page)
  await page.getByRole('button', { name: 'Drill' }).first().click()
  await page.getByRole('dialog').getByRole('button', { name: 'Drill' }).click()
  await page.getByText(/A drill of .* is under way/).waitFor()
  await settled(page)
  await picture(page, 'en-wide-drill')
  await page.getByRole('button', { name: 'End the drill' }).click()
  await page.getByText(/A drill of .* is under way/).waitFor({ state: 'hidden' })
  await page.context().close()
})

test('the language can be changed on any page and is kept', options, async () => {
  const { page } = await openPage(browser, server.url, 'en', 'wide')
  await signIn(page, OPERATOR)
  await page.getByRole('button', { name: 'Language' }).click()
  await page.getByRole('menuitem', { name: '日本語' }).click()
  await page.getByRole('heading', { level: 1, name: '概要' }).waitFor()
  await page.reload()
  await page.getByRole('heading', { level: 1, name: '概要' }).waitFor()
  assert.equal(await page.locator('html').getAttribute('lang'), 'ja')
  await page.context().close()
})

test('every control can be reached and named without a mouse', options, async () => {
  const { page } = await openPage(browser, server.url, 'en', 'wide')
  await signIn(page, OPERATOR)
  await settled(page)
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll('button, a[href], input, select, [role=button]')]
      .filter((element) => {
        const control = element as HTMLElement
        if (control.offsetParent === null) return false
        const labels = (control as HTMLInputElement).labels
        return !(
          control.innerText?.trim() ||
          control.getAttribute('aria-label') ||
          control.getAttribute('aria-labelledby') ||
          labels?.length ||
          control.querySelector('img[alt]:not([alt=""])')
        )
      })
      .map((element) => element.outerHTML.slice(0, 120)),
  )
  assert.deepEqual(nameless, [])
  await page.keyboard.press('Tab')
  assert.equal(await page.evaluate(() => document.activeElement?.className), 'skip-link')
  await page.context().close()
})
