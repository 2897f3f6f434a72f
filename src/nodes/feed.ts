/** One process's parts of the feed over one database: opened by whichever route needs them first, closed with the server. */
import type { Database } from '../database/connection.ts'
import { NodeAuthenticator } from './authenticate.ts'
import { FeedHub } from './hub.ts'
import { Reports } from './reports.ts'
import { findCredential } from './store.ts'

export interface Feed {
  hub: FeedHub
  reports: Reports
  authenticator: NodeAuthenticator
}

const open = new WeakMap<Database, Feed>()

export function feedOf(database: Database): Feed {
  const known = open.get(database)
  if (known) return known
  const feed: Feed = {
    hub: new FeedHub(database),
    reports: new Reports(database),
    authenticator: new NodeAuthenticator(database),
  }
  feed.hub.onNode((node) => {
    feed.authenticator.forget(node)
    if (node === '') return
    findCredential(database, node)
      .then((credential) => {
        if (credential?.state === 'removed' || credential?.state === 'revoked') feed.hub.dismiss(node, credential.state)
      })
      .catch(() => {})
  })
  open.set(database, feed)
  return feed
}

/** Ends the streams of this process; its nodes go to another. */
export async function closeFeed(database: Database): Promise<void> {
  const feed = open.get(database)
  open.delete(database)
  await feed?.hub.close()
}
