/** Debian's Chromium for browser tests. Missing locally: the test says so loudly and is skipped; missing in CI: it fails. */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'

const CHROMIUM = process.env.IZUMI_CHROMIUM ?? '/usr/bin/chromium'
/** What takes longer than this in the portal is broken, also on a busy machine. */
const STEP_TIMEOUT_MS = 15_000
const SCREENSHOTS = fileURLToPath(new URL('../browser/screenshots', import.meta.url))

/** Why browser tests cannot run here; false when they can. */
export const browserMissing: string | false =
  existsSync(CHROMIUM) || process.env.CI
    ? false
    : `NO BROWSER: ${CHROMIUM} is not there. Install it with: npm run setup:engines`

export const openBrowser = (): Promise<Browser> =>
  chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })

export const WIDTHS = { wide: { width: 1440, height: 900 }, narrow: { width: 390, height: 844 } } as const
export type Width = keyof typeof WIDTHS

/** A page in a language and a width; whatever goes wrong in it is collected in `errors`. */
export async function openPage(
  browser: Browser,
  url: string,
  language: 'en' | 'ja',
  width: Width,
): Promise<{ page: Page; errors: string[] }> {
  const context = await browser.newContext({
    viewport: WIDTHS[width],
    locale: language === 'ja' ? 'ja-JP' : 'en-GB',
    timezoneId: 'Asia/Tokyo',
    baseURL: url,
    reducedMotion: 'reduce',
  })
  context.setDefaultTimeout(STEP_TIMEOUT_MS)
  const page = await context.newPage()
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => {
    // A refused request is part of some journeys and logged by the browser itself.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) errors.push(message.text())
  })
  return { page, errors }
}

/** Keeps a picture of the whole page for people to look at. */
export async function picture(page: Page, name: string): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true })
  // What sticks to the window's edge stands where the window is; have it at the top.
  await page.evaluate(() => window.scrollTo(0, 0))
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true })
}

/** Whether anything sticks out to the right of the window. */
export const sticksOut = (page: Page): Promise<boolean> =>
  page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth + 1)
