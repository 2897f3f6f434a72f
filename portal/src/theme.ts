import { createTheme, type MantineColorsTuple } from '@mantine/core'

/** The spring: deep water for what one can press, ink for text. */
const water: MantineColorsTuple = [
  '#e9f6fa',
  '#d3eaf2',
  '#a5d4e4',
  '#74bdd6',
  '#4da9ca',
  '#3399be',
  '#1f86ac',
  '#0f7196',
  '#0b5d7a',
  '#06485f',
]

export const FONTS =
  '"Inter", system-ui, -apple-system, "Segoe UI", "Hiragino Sans", "Yu Gothic UI", "Noto Sans JP", "Noto Sans CJK JP", Roboto, sans-serif'

export const theme = createTheme({
  primaryColor: 'water',
  primaryShade: { light: 8, dark: 5 },
  colors: { water },
  fontFamily: FONTS,
  headings: { fontFamily: FONTS, fontWeight: '650' },
  defaultRadius: 'md',
  cursorType: 'pointer',
  components: {
    Card: { defaultProps: { withBorder: true, padding: 'lg', radius: 'lg' } },
    Table: { defaultProps: { verticalSpacing: 'sm', horizontalSpacing: 'md' } },
    Modal: { defaultProps: { centered: true, radius: 'lg', overlayProps: { backgroundOpacity: 0.35, blur: 2 } } },
    Badge: { defaultProps: { variant: 'light', radius: 'sm', tt: 'none', fw: 600 } },
    Tooltip: { defaultProps: { openDelay: 200 } },
  },
})

/** What each kind of use of capacity looks like, on every chart and legend. */
export const USE_COLOURS = {
  firm: '#0b5d7a',
  standby: '#e09f3e',
  held: '#9b8bd0',
  open: '#1d2b36',
  planned: '#8a99a6',
  forecast: '#c0392b',
} as const
