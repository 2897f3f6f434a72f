/**
 * The trees of everything a purge can name: all, a property, a host, each path segment under it; and beside the paths the
 * tags and cache groups. A purge writes its number on one node and is done, whatever lies under it; a stored object asks its
 * own nodes whether one of them was purged after it was stored. A node is there only while objects lie under it, so neither
 * past purges nor past objects leave anything behind.
 *
 *   all ─┬─ property shop ─┬─ host www.shop.example ── img ── a.png
 *        │                 └─ host shop.example ── index.html
 *   tags ── product-7 ── shop                    (a tag of one property; the tag over all properties is its parent)
 *   groups ── www.shop.example ── catalogue      (RFC 9875: scoped by origin)
 */

/** One thing that can be purged. Numbers count purges since the store was made; 0 is never. */
export class Scope {
  readonly parent: Scope | null
  readonly name: string
  children: Map<string, Scope> | null = null
  /** Objects that lie under it, those that were purged and are not yet swept included. */
  objects = 0
  hardPurge = 0
  softPurge = 0
  /** When the last soft purge came, epoch milliseconds. */
  softPurgedAt = 0
  constructor(parent: Scope | null, name: string) {
    this.parent = parent
    this.name = name
  }
}

/** Path segments that get a node of their own; what lies deeper belongs to the last. Bounds the tree against hostile paths. */
export const SCOPE_DEPTH = 24

/** `www.shop.example/img/a.png` → [`www.shop.example`, `img`, `a.png`]; a trailing slash is no segment of its own. */
export function segmentsOf(url: string): string[] {
  const segments = url.split('/')
  if (segments.length > 1 && segments.at(-1) === '') segments.pop()
  if (segments.length <= SCOPE_DEPTH) return segments
  return [...segments.slice(0, SCOPE_DEPTH - 1), segments.slice(SCOPE_DEPTH - 1).join('/')]
}

export class Scopes {
  readonly all = new Scope(null, 'all')
  readonly #tags = new Scope(null, 'tags')
  readonly #groups = new Scope(null, 'groups')
  readonly #keys = new Scope(null, 'keys')

  /** The node of a place, made where it is missing, with one object more on it and on everything above. */
  enterPlace(property: string, url: string): Scope {
    return enter(this.all, [property, ...segmentsOf(url)])
  }
  enterTag(property: string, tag: string): Scope {
    return enter(this.#tags, [tag, property])
  }
  enterGroup(origin: string, group: string): Scope {
    return enter(this.#groups, [origin, group])
  }
  /** For cache keys that hold more than host and target, so that a purge by URL reaches all of them. */
  enterKey(base: string): Scope {
    return enter(this.#keys, [base])
  }

  /** One object less; nodes under which nothing lies any more go. */
  leave(scope: Scope): void {
    for (let node: Scope | null = scope; node !== null; node = node.parent) {
      node.objects--
      if (node.objects === 0 && node.parent !== null) {
        const siblings = node.parent.children!
        siblings.delete(node.name)
        if (siblings.size === 0) node.parent.children = null
      }
    }
  }

  findProperty(property: string): Scope | null {
    return find(this.all, [property])
  }
  /** Nodes of a prefix: one for each property that has objects under that host (one, unless a host has changed hands). */
  findPrefix(prefix: string, property: string | undefined): Scope[] {
    const segments = segmentsOf(prefix)
    if (property !== undefined) return [find(this.all, [property, ...segments])].filter((found) => found !== null)
    const found: Scope[] = []
    for (const name of this.all.children?.keys() ?? []) {
      const node = find(this.all, [name, ...segments])
      if (node !== null) found.push(node)
    }
    return found
  }
  findTag(tag: string, property: string | undefined): Scope | null {
    return find(this.#tags, property === undefined ? [tag] : [tag, property])
  }
  findGroup(origin: string, group: string): Scope | null {
    return find(this.#groups, [origin, group])
  }
  findKey(base: string): Scope | null {
    return find(this.#keys, [base])
  }

  /** Nodes that are there, the four roots aside. */
  count(): number {
    const below = (node: Scope): number =>
      [...(node.children?.values() ?? [])].reduce((sum, child) => sum + 1 + below(child), 0)
    return [this.all, this.#tags, this.#groups, this.#keys].reduce((sum, root) => sum + below(root), 0)
  }
}

function enter(root: Scope, path: readonly string[]): Scope {
  let node = root
  node.objects++
  for (const name of path) {
    node.children ??= new Map()
    let child = node.children.get(name)
    if (child === undefined) {
      child = new Scope(node, name)
      node.children.set(name, child)
    }
    child.objects++
    node = child
  }
  return node
}

function find(root: Scope, path: readonly string[]): Scope | null {
  let node: Scope | undefined = root
  for (const name of path) {
    node = node.children?.get(name)
    if (node === undefined) return null
  }
  return node
}
