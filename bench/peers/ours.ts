/** The edge and its origin as the edge's benchmarks start them: own processes, pinned, on free ports. */
import { execFileSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, listening, pinned, type Target } from './caches.ts'

export const SERVER_CORE = 0
export const LOAD_CORE = 1
export const OURS = 'izumi'
/** Without the shared read buffer: nothing but what Node documents. */
export const OURS_PUBLIC = 'izumi, public API'

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))

export function makeCertificate(folder: string): { certificate: string; key: string } {
  const [certificate, key] = [join(folder, 'certificate.pem'), join(folder, 'key.pem')]
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      ...curve,
      '-days',
      '30',
      '-subj',
      '/CN=localhost',
      '-addext',
      names,
      '-keyout',
      key,
      '-out',
      certificate,
    ],
    { stdio: 'ignore' },
  )
  // Traffic Server reads it as a user of its own.
  chmodSync(key, 0o644)
  return { certificate, key }
}

export async function startOrigin(folder: string): Promise<number> {
  const port = await freePort()
  pinned(LOAD_CORE, process.execPath, [here('./origin.ts'), String(port)], join(folder, 'origin.log'))
  await listening(port, 'the origin')
  return port
}

/** An edge from a file as people write it. */
export async function ours(
  name: string,
  folder: string,
  originPort: number,
  certificate: string,
  key: string,
): Promise<Target> {
  const [plain, secure] = [await freePort(), await freePort()]
  const file = join(folder, `${plain}.json`)
  writeFileSync(
    file,
    JSON.stringify({
      listen: { http: `127.0.0.1:${plain}`, https: `127.0.0.1:${secure}` },
      certificates: [{ certificate, key, names: ['localhost'] }],
      store: { memory: '512 MB' },
      properties: [{ name: 'site', hosts: ['*'], origin: `http://127.0.0.1:${originPort}` }],
    }),
  )
  const way = name === OURS_PUBLIC ? 'public' : 'shared'
  const child = pinned(
    SERVER_CORE,
    process.execPath,
    ['--disable-warning=ExperimentalWarning', here('./edge.ts'), file, way],
    join(folder, `${plain}.log`),
  )
  await listening(plain, name)
  return { name, http: `http://127.0.0.1:${plain}`, https: `https://127.0.0.1:${secure}`, processes: [child.pid!] }
}
