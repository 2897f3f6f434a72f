// Runs a program of this repository on the Node version that the lockfile pins. On first use (or when the lockfile
// is newer than what is installed) it installs the packages; when the portal is not built, or older than its
// sources, it builds it. So `npm start` and `npm test` are the whole set-up on any machine with Node 20 or later.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

if (Number(process.versions.node.split('.')[0]) < 20) {
  console.error(`Izumi needs Node 20 or later to start (it then runs on the Node it pins); this is ${process.version}.`)
  process.exit(1)
}

/** Runs a command in the repository and stops with its exit code when it fails. */
function must(command, args) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' })
  if (status !== 0) process.exit(status ?? 1)
}

const modified = (path) => (existsSync(join(root, path)) ? statSync(join(root, path)).mtimeMs : 0)

/** The latest change under a folder, in milliseconds since the epoch. */
function newest(folder) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((latest, entry) => Math.max(latest, statSync(join(entry.parentPath, entry.name)).mtimeMs), 0)
}

if (modified('node_modules/.package-lock.json') < modified('package-lock.json')) {
  console.error('Installing the packages that the lockfile pins (first use)…')
  must('npm', ['ci', '--no-audit', '--no-fund'])
}

const prefix = process.platform === 'darwin' && process.arch === 'arm64' ? 'node-bin' : 'node'
const pinned = join(root, 'node_modules', `${prefix}-${process.platform}-${process.arch}`, 'bin', 'node')
const node = existsSync(pinned) ? pinned : process.execPath

const program = process.argv[2] ?? ''
const showsPortal = program === 'src/main.ts' || program === 'test/run.ts'
if (showsPortal && modified('portal/dist/index.html') < newest('portal/src')) {
  console.error('Building the portal…')
  must(node, [join(root, 'node_modules/vite/bin/vite.js'), 'build', join(root, 'portal'), '--logLevel', 'warn'])
}

const child = spawn(node, ['--disable-warning=ExperimentalWarning', join(root, program), ...process.argv.slice(3)], {
  stdio: 'inherit',
  // What was compiled is kept, so that a command of the terminal starts in half the time.
  env: { NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/izumi'), ...process.env },
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)))
