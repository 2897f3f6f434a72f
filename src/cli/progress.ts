/** Says on standard error what is going on, once it has taken a second, where somebody is looking. */
const AFTER_MS = 1_000
const EVERY_MS = 100

export interface Progress {
  say(text: string): void
  end(): void
}

export function progressOf(text: string, isShown = process.stderr.isTTY === true): Progress {
  const began = Date.now()
  let last = text
  let written = 0
  const write = () => {
    if (!isShown || Date.now() - began < AFTER_MS || Date.now() - written < EVERY_MS) return
    written = Date.now()
    process.stderr.write(`\r\x1b[K${last}`)
  }
  const timer = setInterval(write, EVERY_MS)
  timer.unref()
  return {
    say(next) {
      last = next
      write()
    },
    end() {
      clearInterval(timer)
      if (written > 0) process.stderr.write('\r\x1b[K')
    },
  }
}
