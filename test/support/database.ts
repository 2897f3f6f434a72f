/**
 * A database for one test file: a copy of a migrated template on the PostgreSQL that `test/run.ts` started, or on one of
 * its own when a file is run alone. `IZUMI_TEST_DATABASE_URL` points the tests at any other PostgreSQL.
 */
import { rmSync } from 'node:fs'
import { after } from 'node:test'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { startEmbedded } from '../../src/database/embedded.ts'
import { migrate } from '../../src/database/migrate.ts'
import { temporaryFolder } from './folder.ts'

const TEMPLATE = 'izumi_template'

const withName = (url: string, name: string) => url.replace(/\/[^/?]*(\?|$)/, `/${name}$1`)

/** Makes the migrated template once on a server. */
export async function prepareTemplate(serverUrl: string): Promise<void> {
  const server = openDatabase(withName(serverUrl, 'postgres'), { connections: 1 })
  await server.query(`drop database if exists ${TEMPLATE}`)
  await server.query(`create database ${TEMPLATE}`)
  await server.close()
  const template = openDatabase(withName(serverUrl, TEMPLATE), { connections: 1 })
  await migrate(template)
  await template.close()
}

let server: Promise<string> | null = null

async function serverUrl(): Promise<string> {
  if (process.env.IZUMI_TEST_DATABASE_URL) return process.env.IZUMI_TEST_DATABASE_URL
  const folder = temporaryFolder('izumi-test-')
  const embedded = await startEmbedded(folder)
  await prepareTemplate(embedded.url)
  after(async () => {
    await embedded.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  return embedded.url
}

/** A fresh, migrated, empty database; closed and dropped after the file's tests. */
export async function testDatabase(): Promise<Database> {
  server ??= serverUrl()
  const url = await server
  const name = `izumi_test_${process.pid}_${Math.random().toString(36).slice(2, 8)}`
  const maintenance = openDatabase(withName(url, 'postgres'), { connections: 1 })
  for (let attempt = 1; ; attempt++) {
    try {
      await maintenance.query(`create database ${name} template ${TEMPLATE}`)
      break
    } catch (error) {
      // Another test file is copying the template this instant.
      if ((error as { code?: string }).code !== '55006' || attempt > 100) throw error
    }
  }
  await maintenance.close()
  const database = openDatabase(withName(url, name))
  after(async () => {
    await database.close().catch(() => {})
    const cleaner = openDatabase(withName(url, 'postgres'), { connections: 1 })
    await cleaner.query(`drop database if exists ${name} with (force)`)
    await cleaner.close()
  })
  return database
}
