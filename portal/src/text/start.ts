/** English and Japanese. The reader's choice is kept; else the account's, else the browser's. */
import dayjs from 'dayjs'
import 'dayjs/locale/ja'
import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'
import { en } from './en.ts'
import { ja } from './ja.ts'

const KEPT = 'izumi.language'

export const LANGUAGES = [
  { code: 'en', name: 'English' },
  { code: 'ja', name: '日本語' },
] as const

export async function startTexts(): Promise<void> {
  const wanted = localStorage.getItem(KEPT) ?? navigator.language
  await i18next.use(initReactI18next).init({
    resources: { en: { translation: en }, ja: { translation: ja } },
    lng: wanted.startsWith('ja') ? 'ja' : 'en',
    fallbackLng: 'en',
    interpolation: { escapeValue: false },
  })
  apply(i18next.language)
  i18next.on('languageChanged', apply)
}

function apply(language: string): void {
  document.documentElement.lang = language
  dayjs.locale(language)
}

export function chooseLanguage(code: string): void {
  localStorage.setItem(KEPT, code)
  void i18next.changeLanguage(code)
}
