/**
 * The portal's way to the API: one fetch that knows problem details, ETags and idempotency keys, and the hooks that
 * screens read with. A list is read page by page; a change says which lists it makes stale.
 */
import { type QueryKey, useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'

export interface FieldProblem {
  at: string
  problem: string
  expected: string
}

/** What the API said was wrong (RFC 9457). */
export class Problem extends Error {
  readonly status: number
  readonly code: string
  readonly fields: FieldProblem[]
  readonly facts: Record<string, unknown>
  constructor(status: number, body: Record<string, unknown>) {
    super(String(body.detail ?? body.title ?? `HTTP ${status}`))
    this.status = status
    this.code = String(body.code ?? 'unknown')
    this.fields = Array.isArray(body.fields) ? (body.fields as FieldProblem[]) : []
    this.facts = body
  }
}

export interface Page<Item> {
  items: Item[]
  next: string | null
}

type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'

export interface SendOptions {
  body?: unknown
  /** The version that was seen; sent as `If-Match`. */
  version?: number
}

/** Calls the API and returns the answer's JSON. @throws Problem */
export async function send<Answer>(method: Method, path: string, options: SendOptions = {}): Promise<Answer> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (options.body !== undefined) headers['content-type'] = 'application/json'
  if (method === 'POST') headers['idempotency-key'] = crypto.randomUUID()
  if (options.version !== undefined) headers['if-match'] = `"${options.version}"`
  let response: Response
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers,
      credentials: 'same-origin',
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
    })
  } catch {
    throw new Problem(0, { code: 'offline', detail: 'offline' })
  }
  const text = await response.text()
  const json = text === '' ? null : JSON.parse(text)
  if (!response.ok) throw new Problem(response.status, json ?? {})
  return json as Answer
}

type Query = Record<string, string | number | boolean | null | undefined>

/** `/orders` and `{state: 'waiting'}` to `/orders?state=waiting`; empty values are left out. */
export function withQuery(path: string, query: Query): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== null && value !== '') search.set(name, String(value))
  const text = search.toString()
  return text ? `${path}?${text}` : path
}

/** Reads one thing. */
export function useOne<Answer>(path: string | null, query: Query = {}, options: { refreshMs?: number } = {}) {
  return useQuery<Answer, Problem>({
    queryKey: [path, query],
    queryFn: () => send<Answer>('GET', withQuery(path!, query)),
    enabled: path !== null,
    refetchInterval: options.refreshMs ?? false,
  })
}

/** Reads a list page by page. */
export function useList<Item>(path: string, query: Query = {}) {
  return useInfiniteQuery<Page<Item>, Problem, Item[], QueryKey, string | null>({
    queryKey: [path, 'list', query],
    queryFn: ({ pageParam }) => send<Page<Item>>('GET', withQuery(path, { ...query, cursor: pageParam })),
    initialPageParam: null,
    getNextPageParam: (page) => page.next,
    select: (data) => data.pages.flatMap((page) => page.items),
  })
}

/** Pages read for one picture at most; a list longer than this is looked at page by page. */
const PICTURE_PAGES = 20

/** Reads a whole list, for pictures that need all of it. */
export function useAll<Item>(path: string, query: Query = {}) {
  return useQuery<Item[], Problem>({
    queryKey: [path, 'all', query],
    queryFn: async () => {
      const items: Item[] = []
      let cursor: string | null = null
      for (let page = 0; page < PICTURE_PAGES; page++) {
        const answer: Page<Item> = await send<Page<Item>>('GET', withQuery(path, { ...query, limit: 200, cursor }))
        items.push(...answer.items)
        cursor = answer.next
        if (cursor === null) break
      }
      return items
    },
  })
}

/** Changes something, then has every list and thing on the screen read again. */
export function useChange<Input, Answer = unknown>(
  run: (input: Input) => Promise<Answer>,
  options: { onDone?: (answer: Answer) => void } = {},
) {
  const client = useQueryClient()
  return useMutation<Answer, Problem, Input>({
    mutationFn: run,
    onSuccess: async (answer) => {
      options.onDone?.(answer)
      await client.invalidateQueries()
    },
  })
}
