/**
 * The one table of the portal: searchable, read page by page, rows that open something are links for mouse and
 * keyboard, and on a narrow screen the columns that matter less step back.
 */
import { Box, Button, Center, Group, ScrollArea, Select, Table, Text, TextInput } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { IconSearch } from '@tabler/icons-react'
import { useNavigate } from '@tanstack/react-router'
import { type ReactNode, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useList } from '../api.ts'
import { Empty, Loading, ProblemNote } from './feedback.tsx'

export interface Column<Row> {
  title: string
  cell: (row: Row) => ReactNode
  number?: boolean
  /** Shown from this width on; always when left out. */
  from?: 'xs' | 'sm' | 'md' | 'lg'
}

/** A plain table of rows that are already here. */
export function RowsTable<Row>({
  rows,
  columns,
  rowKey,
  rowLink,
  label,
}: {
  rows: Row[]
  columns: Column<Row>[]
  rowKey: (row: Row) => string | number
  rowLink?: (row: Row) => string | undefined
  label: string
}) {
  const navigate = useNavigate()
  return (
    <ScrollArea type="auto" offsetScrollbars="x">
      <Table highlightOnHover={rowLink !== undefined} aria-label={label}>
        <Table.Thead>
          <Table.Tr>
            {columns.map((column) => (
              <Table.Th key={column.title} className={column.number ? 'number' : undefined} visibleFrom={column.from}>
                {column.title}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row) => {
            const link = rowLink?.(row)
            const open = link === undefined ? undefined : () => navigate({ to: link })
            return (
              <Table.Tr
                key={rowKey(row)}
                className={open ? 'table-row-link' : undefined}
                tabIndex={open ? 0 : undefined}
                onClick={(event) => {
                  if (open && !(event.target as HTMLElement).closest('a,button,input')) open()
                }}
                onKeyDown={(event) => {
                  if (open && event.key === 'Enter' && event.target === event.currentTarget) open()
                }}
              >
                {columns.map((column) => (
                  <Table.Td
                    key={column.title}
                    className={column.number ? 'number' : undefined}
                    visibleFrom={column.from}
                  >
                    {column.cell(row)}
                  </Table.Td>
                ))}
              </Table.Tr>
            )
          })}
        </Table.Tbody>
      </Table>
    </ScrollArea>
  )
}

/** Rows shown before one asks for more. */
const FIRST_ROWS = 25

/** Rows that are already here, with a search over the texts that `words` gives. */
export function SearchableRows<Row>({
  words,
  rows,
  ...table
}: {
  rows: Row[]
  columns: Column<Row>[]
  rowKey: (row: Row) => string | number
  rowLink?: (row: Row) => string | undefined
  label: string
  words: (row: Row) => string
}) {
  const { t } = useTranslation()
  const [text, setText] = useState('')
  const [shown, setShown] = useState(FIRST_ROWS)
  const wanted = text.trim().toLowerCase()
  const found = wanted === '' ? rows : rows.filter((row) => words(row).toLowerCase().includes(wanted))
  return (
    <Box>
      <TextInput
        aria-label={t('common.search')}
        placeholder={t('common.search')}
        leftSection={<IconSearch size={16} />}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        maw={360}
        mb="sm"
      />
      {found.length === 0 ? (
        <Empty title={t('common.nothingFound')} />
      ) : (
        <RowsTable rows={found.slice(0, shown)} {...table} />
      )}
      {found.length > shown && (
        <Center mt="sm">
          <Button variant="default" size="xs" onClick={() => setShown(shown + 4 * FIRST_ROWS)}>
            {t('common.more')}
          </Button>
        </Center>
      )}
    </Box>
  )
}

export interface Filter {
  name: string
  label: string
  options: { value: string; label: string }[]
}

/** A searchable list read from the API. */
export function ListTable<Row>({
  path,
  query = {},
  columns,
  rowKey,
  rowLink,
  label,
  empty,
  filters = [],
  search = true,
}: {
  path: string
  query?: Record<string, string | number | undefined>
  columns: Column<Row>[]
  rowKey: (row: Row) => string | number
  rowLink?: (row: Row) => string | undefined
  label: string
  empty: { title: string; hint?: string; action?: ReactNode }
  filters?: Filter[]
  search?: boolean
}) {
  const { t } = useTranslation()
  const [text, setText] = useState('')
  const [q] = useDebouncedValue(text, 250)
  const [chosen, setChosen] = useState<Record<string, string | null>>({})
  const list = useList<Row>(path, { limit: 50, ...query, ...chosen, q: q || undefined })
  const filtered = q !== '' || Object.values(chosen).some(Boolean)
  return (
    <Box>
      {(search || filters.length > 0) && (
        <Group mb="sm" gap="sm">
          {search && (
            <TextInput
              aria-label={t('common.search')}
              placeholder={t('common.search')}
              leftSection={<IconSearch size={16} />}
              value={text}
              onChange={(event) => setText(event.currentTarget.value)}
              style={{ flex: '1 1 220px', maxWidth: 360 }}
            />
          )}
          {filters.map((filter) => (
            <Select
              key={filter.name}
              aria-label={filter.label}
              placeholder={filter.label}
              data={filter.options}
              clearable
              value={chosen[filter.name] ?? null}
              onChange={(value) => setChosen({ ...chosen, [filter.name]: value })}
              w={170}
            />
          ))}
        </Group>
      )}
      {list.error ? (
        <ProblemNote problem={list.error} onRetry={() => list.refetch()} />
      ) : !list.data ? (
        <Loading />
      ) : list.data.length === 0 ? (
        filtered ? (
          <Empty title={t('common.nothingFound')} hint={t('common.nothingFoundHint')} />
        ) : (
          <Empty {...empty} />
        )
      ) : (
        <>
          <RowsTable rows={list.data} columns={columns} rowKey={rowKey} rowLink={rowLink} label={label} />
          <Center mt="sm">
            {list.hasNextPage ? (
              <Button
                variant="default"
                size="xs"
                loading={list.isFetchingNextPage}
                onClick={() => list.fetchNextPage()}
              >
                {t('common.more')}
              </Button>
            ) : (
              <Text size="xs" c="dimmed">
                {t('common.shown', { count: list.data.length })}
              </Text>
            )}
          </Center>
        </>
      )}
    </Box>
  )
}
