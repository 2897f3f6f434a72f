/**
 * The form of a service family, drawn from its schema: what the customer chooses, in the reader's language, with how
 * much is free at the chosen site beside each amount. Nothing here knows a family; a new one brings its own form.
 */
import { Box, Group, NumberInput, Radio, Select, SimpleGrid, Stack, Switch, Text, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { type Page as ApiPage, useOne } from '../api.ts'
import { useFormat } from '../format.ts'
import { useSiteName } from '../screens/sites.tsx'
import type { JsonSchema, Site } from '../types.ts'

export interface Availability {
  site: string
  from: string
  to: string | null
  pools: { kind: string; unit: string; free: number; open: number; largestRun?: number }[]
}

type Config = Record<string, unknown>

interface FieldProps {
  name: string
  schema: JsonSchema
  value: unknown
  required: boolean
  onChange: (value: unknown) => void
  availability: Availability | undefined
}

/** The reader's title and description of a schema; Japanese stands under `x-ja`. */
function useWords(): (schema: JsonSchema, name: string) => { title: string; description?: string } {
  const { i18n } = useTranslation()
  return (schema, name) => {
    const japanese = schema['x-ja'] as string | { title?: string; description?: string } | undefined
    const title = typeof japanese === 'string' ? japanese : japanese?.title
    const description = typeof japanese === 'string' ? undefined : japanese?.description
    return i18n.language === 'ja'
      ? { title: title ?? schema.title ?? name, description: description ?? (title ? undefined : schema.description) }
      : { title: schema.title ?? name, description: schema.description }
  }
}

export function ConfigForm({
  schema,
  value,
  onChange,
  period = {},
}: {
  schema: JsonSchema
  value: Config
  onChange: (value: Config) => void
  period?: { from?: string; to?: string }
}) {
  const site = typeof value.site === 'string' ? value.site : null
  const availability = useOne<Availability>(site ? '/availability' : null, { site, ...period })
  const required = schema.required ?? []
  const set = (name: string, next: unknown) => {
    const { [name]: _, ...rest } = value
    onChange(next === undefined || next === '' ? rest : { ...rest, [name]: next })
  }
  const entries = Object.entries(schema.properties ?? {})
  const amounts = entries.filter(([, property]) => isNumber(property))
  const others = entries.filter(([name, property]) => !isNumber(property) && name !== 'site')
  const field = ([name, property]: [string, JsonSchema]) => (
    <Field
      key={name}
      name={name}
      schema={property}
      value={value[name]}
      required={required.includes(name)}
      onChange={(next) => set(name, next)}
      availability={availability.data}
    />
  )
  return (
    <Stack gap="lg">
      {schema.properties?.site && <SiteChoice value={site} onChange={(next) => set('site', next)} />}
      <SimpleGrid cols={{ base: 1, sm: 2 }}>{amounts.map(field)}</SimpleGrid>
      {others.map(field)}
    </Stack>
  )
}

const isNumber = (schema: JsonSchema): boolean => schema.type === 'number' || schema.type === 'integer'

function SiteChoice({
  value,
  onChange,
  label,
  without,
}: {
  value: string | null
  onChange: (site: string) => void
  label?: string
  without?: string
}) {
  const { t } = useTranslation()
  const format = useFormat()
  const siteName = useSiteName()
  const sites = useOne<ApiPage<Site>>('/sites')
  return (
    <Radio.Group label={label ?? t('common.site')} value={value} onChange={onChange} required>
      <SimpleGrid cols={{ base: 1, sm: 2 }} mt={6}>
        {(sites.data?.items ?? [])
          .filter((site) => site.code !== without)
          .map((site) => {
            const rackUnits = site.pools.find((pool) => pool.kind === 'rack-unit')
            return (
              <Radio.Card key={site.id} value={site.code} p="md" radius="md" disabled={site.failedAt !== null}>
                <Group wrap="nowrap" align="flex-start">
                  <Radio.Indicator />
                  <Box>
                    <Text fw={600}>{siteName(site)}</Text>
                    <Text size="xs" c="dimmed">
                      {site.address}
                    </Text>
                    {rackUnits && (
                      <Text size="sm" mt={4}>
                        {t('orderForm.freeNow', {
                          amount: format.number(rackUnits.free, 0),
                          unit: format.unit(rackUnits.unit),
                        })}
                      </Text>
                    )}
                  </Box>
                </Group>
              </Radio.Card>
            )
          })}
      </SimpleGrid>
    </Radio.Group>
  )
}

function Field({ name, schema, value, required, onChange, availability }: FieldProps) {
  const { t } = useTranslation()
  const format = useFormat()
  const words = useWords()
  const { title, description } = words(schema, name)
  const kind = schema['x-kind'] as string | undefined
  const pool = availability?.pools.find((candidate) => candidate.kind === kind)
  if (isNumber(schema)) {
    const short = pool !== undefined && Number(value ?? 0) > pool.free
    return (
      <NumberInput
        label={title}
        description={
          pool ? t('orderForm.free', { amount: format.number(pool.free), unit: format.unit(pool.unit) }) : description
        }
        error={short ? t('orderForm.tooMuch') : undefined}
        required={required}
        value={value === undefined ? '' : Number(value)}
        onChange={(next) => onChange(next === '' ? undefined : Number(next))}
        min={Number(schema.minimum ?? 0)}
        max={schema.maximum === undefined ? undefined : Number(schema.maximum)}
        allowDecimal={schema.type === 'number'}
        decimalScale={3}
        thousandSeparator
        suffix={pool ? ` ${format.unit(pool.unit)}` : undefined}
      />
    )
  }
  if (schema.type === 'boolean')
    return (
      <Switch
        label={title}
        description={description}
        checked={(value ?? schema.default ?? false) === true}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
    )
  if (schema.type === 'object')
    return (
      <Nested
        schema={schema}
        title={title}
        description={description}
        value={value as Config | undefined}
        onChange={onChange}
      />
    )
  const options = (schema.enum ?? (schema.anyOf as JsonSchema[] | undefined)?.map((option) => option.const)) as
    | string[]
    | undefined
  if (options)
    return (
      <Select
        label={title}
        description={description}
        data={options}
        value={(value as string) ?? null}
        onChange={(next) => onChange(next ?? undefined)}
        clearable={!required}
      />
    )
  return (
    <TextInput
      label={title}
      description={description}
      required={required}
      value={(value as string) ?? ''}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  )
}

/** A part of the choice that is there or not, such as a standby at another site. */
function Nested({
  schema,
  title,
  description,
  value,
  onChange,
}: {
  schema: JsonSchema
  title: string
  description?: string
  value: Config | undefined
  onChange: (value: Config | undefined) => void
}) {
  const initial = () =>
    Object.fromEntries(
      Object.entries(schema.properties ?? {}).flatMap(([name, property]) =>
        property.default === undefined ? [] : [[name, property.default]],
      ),
    )
  return (
    <Box>
      <Switch
        label={title}
        description={description}
        checked={value !== undefined}
        onChange={(event) => onChange(event.currentTarget.checked ? initial() : undefined)}
      />
      {value !== undefined && (
        <Box mt="md" pl={{ base: 0, sm: 'xl' }}>
          <ConfigForm schema={schema} value={value} onChange={onChange} />
        </Box>
      )}
    </Box>
  )
}
