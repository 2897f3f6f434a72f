/** A site by its code, as the reader's language names it. */
import { useTranslation } from 'react-i18next'
import { type Page, useOne } from '../api.ts'
import type { Site } from '../types.ts'

export function SiteName({ code }: { code: string | null | undefined }) {
  const { i18n } = useTranslation()
  const sites = useOne<Page<Site>>('/sites')
  if (!code) return <>–</>
  const site = sites.data?.items.find((candidate) => candidate.code === code)
  return <>{(i18n.language === 'ja' && site?.nameJa) || site?.name || code}</>
}
