/** What the primary tells its workers and what they answer; one answer to each order, by its number. */

import type { Invalidation } from '../flow/inside.ts'
import type { FrontCounters } from '../front/front.ts'
import type { EdgeRequest, PurgeSelector, StoreStats } from '../message.ts'
import type { Given, Ports, ServingOptions } from '../serving.ts'
import type { Figures } from '../sight/account.ts'
import type { Explanation } from '../sight/explain.ts'

/** All that a worker must know to begin; it does not listen before it is told. */
export interface Start {
  given: Given
  options: Omit<ServingOptions, 'share'>
  index: number
  count: number
  /** The folder of the sockets over which workers ask each other. */
  sockets: string
}

/** What a worker counted since it was last asked, and how it is. */
export interface Report {
  usage: [property: string, figures: Figures][]
  store: StoreStats
  front: FrontCounters
  logDropped: number
}

/** Each order with what it takes and what comes of it. */
export interface Orders {
  start: { takes: Start; gives: undefined }
  listen: { takes: Ports; gives: Ports }
  prepare: { takes: { given: Given; ports: Ports }; gives: Ports }
  commit: { takes: undefined; gives: undefined }
  abandon: { takes: undefined; gives: undefined }
  /** `again`: all workers have done it once; now what they copied from each other meanwhile. */
  purge: { takes: { selector: PurgeSelector; again: boolean }; gives: number }
  invalidate: { takes: readonly Invalidation[]; gives: undefined }
  explain: { takes: EdgeRequest; gives: Explanation }
  report: { takes: undefined; gives: Report }
  drain: { takes: undefined; gives: undefined }
  close: { takes: undefined; gives: undefined }
}

export type OrderName = keyof Orders

export interface OrderMessage {
  number: number
  name: OrderName
  takes: unknown
}

/** To the primary: the answer to an order, or an invalidation that all must hear of. */
export type WorkerMessage =
  | { kind: 'done'; number: number; gives: unknown }
  | { kind: 'failed'; number: number; message: string; code: string | undefined }
  | { kind: 'invalidate'; number: number; invalidation: Invalidation }

/** To a worker: an order, or that its invalidation is in force everywhere. */
export type PrimaryMessage = ({ kind: 'order' } & OrderMessage) | { kind: 'invalidated'; number: number }
