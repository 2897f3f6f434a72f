/** Small files that must be whole: written beside, synced, renamed into place. */
import { open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

export async function writeWhole(file: string, text: string): Promise<void> {
  const handle = await open(`${file}.new`, 'w', 0o600)
  try {
    await handle.writeFile(text)
    await handle.datasync()
  } finally {
    await handle.close()
  }
  await rename(`${file}.new`, file)
  const folder = await open(dirname(file), 'r')
  await folder.sync()
  await folder.close()
}

/** Null when there is no such file. */
export async function readWhole(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
