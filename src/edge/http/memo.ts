/**
 * Remembers what a pure function made of recent texts. Origins send the same few values of Date, Cache-Control and the like with
 * every answer; the table is emptied when it is full, which bounds it and costs nothing to keep in order.
 */
const MAX_TEXTS = 1_000
/** Longer texts are rare and not worth keeping. */
const MAX_CHARACTERS = 200

export function memoized<T>(make: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    let made = known.get(text)
    if (made === undefined) {
      made = make(text)
      if (text.length <= MAX_CHARACTERS) {
        if (known.size >= MAX_TEXTS) known.clear()
        known.set(text, made)
      }
    }
    return made
  }
}
