/** Heads, requests and rules for the policy's tests: sensible unless a test says otherwise. */
import type { CachingRules, EdgeRequest, Fields, StoredHead } from '../message.ts'

export const NOW = Date.UTC(2026, 10, 24, 12, 0, 0)

export const RULES: CachingRules = {
  enabled: true,
  ttlSeconds: null,
  negativeTtlSeconds: new Map(),
  targetedFields: ['cdn-cache-control'],
  staleWhileRevalidateSeconds: null,
  staleIfErrorSeconds: null,
  heuristicMaximumSeconds: 86_400,
  obeyRequestDirectives: true,
  sliceBytes: null,
}

export const storedHead = (fields: Fields, changes: Partial<StoredHead> = {}): StoredHead => ({
  status: 200,
  fields,
  requestMethod: 'GET',
  vary: [],
  requestTime: NOW,
  responseTime: NOW,
  correctedInitialAgeSeconds: 0,
  lifetimeSeconds: 60,
  bodyBytes: 10,
  range: null,
  tags: [],
  groups: [],
  property: 'shop',
  url: 'shop.example/a',
  ...changes,
})

export const requestOf = (fields: Fields = [], changes: Partial<EdgeRequest> = {}): EdgeRequest => ({
  method: 'GET',
  scheme: 'http',
  host: 'shop.example',
  authority: 'shop.example',
  target: '/a',
  version: '1.1',
  fields,
  client: { address: '192.0.2.1', port: 1 },
  receivedAt: NOW,
  body: null,
  ...changes,
})
