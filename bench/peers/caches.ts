/**
 * The caches of the field as benchmarks start them: Debian's packages, private instances in a temporary folder, one core,
 * everything in memory, access logs off. `nginx` runs in several settings, since the best one depends on the size.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'

export interface Target {
  name: string
  http: string
  /** Null: it does not speak TLS. */
  https: string | null
  /** The processes whose CPU counts. */
  processes: number[]
}

export interface PeerOptions {
  folder: string
  originPort: number
  /** The core that servers are pinned to. */
  core: number
  /** PEM files. */
  certificate: string
  key: string
  /** False: a plain proxy, without a cache. */
  caches: boolean
}

const started: ChildProcess[] = []

/** Starts a program pinned to a core; it is ended by `stopAll`. */
export function pinned(core: number, command: string, args: string[], log: string): ChildProcess {
  const child = spawn('taskset', ['-c', String(core), command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  let text = ''
  const keep = (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-20_000)
    writeFileSync(log, text)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  started.push(child)
  return child
}

export function stopAll(): void {
  for (const child of started) child.kill('SIGTERM')
  started.length = 0
}

export const has = (program: string): boolean => spawnSync('which', [program]).status === 0

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Waits until something listens there. */
export async function listening(port: number, what: string): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy()
        resolve(true)
      })
      socket.on('error', () => resolve(false))
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${what} does not listen on ${port}`)
}

/** A process and those it started whose CPU counts: `taskset` becomes the program itself. */
function family(processId: number, wanted: (commandLine: string) => boolean): number[] {
  const found: number[] = []
  for (const id of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)))
    try {
      const stat = readFileSync(`/proc/${id}/stat`, 'latin1')
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
      const line = readFileSync(`/proc/${id}/cmdline`, 'latin1')
      if ((parent === processId || Number(id) === processId) && wanted(line)) found.push(Number(id))
    } catch {
      // It ended meanwhile.
    }
  return found
}

/** nginx with `proxy_cache` (or without): the settings among which the best is taken for each size. */
export async function nginx(options: PeerOptions): Promise<Target[]> {
  const folder = join(options.folder, 'nginx')
  mkdirSync(folder, { recursive: true })
  const settings: [name: string, text: string][] = [
    ['sendfile', 'sendfile on; tcp_nopush off;'],
    ['no sendfile', 'sendfile off; proxy_buffer_size 8k;'],
    [
      'large buffers',
      'sendfile off; proxy_buffer_size 80k; proxy_buffers 8 128k; proxy_busy_buffers_size 256k; output_buffers 1 128k; ssl_buffer_size 16k;',
    ],
  ]
  const servers: string[] = []
  const made: { name: string; plain: number; secure: number }[] = []
  for (const [name, text] of options.caches ? settings : settings.slice(1, 2)) {
    const [plain, secure] = [await freePort(), await freePort()]
    made.push({ name: options.caches ? `nginx, ${name}` : 'nginx', plain, secure })
    servers.push(
      `server { listen 127.0.0.1:${plain} backlog=4096; listen 127.0.0.1:${secure} ssl backlog=4096; ${text} location / { proxy_pass http://origin; } }`,
    )
  }
  const cache = options.caches
    ? `proxy_cache_path ${folder}/cache levels=1:2 keys_zone=z:64m max_size=2g inactive=10h use_temp_path=off;
  proxy_cache z; proxy_cache_key $host$uri$is_args$args;`
    : ''
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log warn; ${process.getuid?.() === 0 ? 'user root;' : ''}
worker_rlimit_nofile 65536;
events { worker_connections 16384; multi_accept on; use epoll; }
http {
  access_log off; keepalive_timeout 600s; keepalive_requests 100000000; server_tokens off; tcp_nodelay on;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  types { } default_type application/octet-stream;
  open_file_cache max=20000 inactive=600s; open_file_cache_valid 600s;
  upstream origin { server 127.0.0.1:${options.originPort}; keepalive 128; keepalive_requests 100000000; }
  ${cache} proxy_http_version 1.1; proxy_set_header Connection "";
  ssl_certificate ${options.certificate}; ssl_certificate_key ${options.key}; ssl_protocols TLSv1.3; ssl_session_cache shared:s:10m;
  ${servers.join('\n  ')}
}
`,
  )
  const child = pinned(
    options.core,
    'nginx',
    ['-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')],
    join(folder, 'log'),
  )
  await listening(made[0]!.plain, 'nginx')
  await new Promise((resolve) => setTimeout(resolve, 300))
  const processes = family(child.pid!, (line) => line.includes('worker process'))
  return made.map(({ name, plain, secure }) => ({
    name,
    http: `http://127.0.0.1:${plain}`,
    https: `https://127.0.0.1:${secure}`,
    processes,
  }))
}

export async function varnish(options: PeerOptions): Promise<Target[]> {
  const folder = join(options.folder, 'varnish')
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  writeFileSync(
    join(folder, 'default.vcl'),
    `vcl 4.1; backend default { .host = "127.0.0.1"; .port = "${options.originPort}"; }`,
  )
  const child = pinned(
    options.core,
    'varnishd',
    [
      '-F',
      '-n',
      join(folder, 'work'),
      '-a',
      `127.0.0.1:${port}`,
      '-f',
      join(folder, 'default.vcl'),
      '-s',
      'malloc,512m',
      '-p',
      'thread_pools=1',
      '-p',
      'thread_pool_min=50',
    ],
    join(folder, 'log'),
  )
  await listening(port, 'varnish')
  return [{ name: 'varnish', http: `http://127.0.0.1:${port}`, https: null, processes: family(child.pid!, () => true) }]
}

export async function haproxy(options: PeerOptions): Promise<Target[]> {
  const folder = join(options.folder, 'haproxy')
  mkdirSync(folder, { recursive: true })
  const [plain, secure] = [await freePort(), await freePort()]
  const pem = join(folder, 'both.pem')
  writeFileSync(pem, readFileSync(options.certificate, 'utf8') + readFileSync(options.key, 'utf8'))
  const use = options.caches ? '  http-request cache-use c\n  http-response cache-store c\n' : ''
  writeFileSync(
    join(folder, 'haproxy.cfg'),
    `global
  maxconn 8000
  nbthread 1
${options.caches ? 'cache c\n  total-max-size 512\n  max-object-size 4000000\n  max-age 36000\n' : ''}defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend f
  bind 127.0.0.1:${plain}
  bind 127.0.0.1:${secure} ssl crt ${pem} ssl-min-ver TLSv1.3
  default_backend b
backend b
${use}  server s 127.0.0.1:${options.originPort}
`,
  )
  const child = pinned(options.core, 'haproxy', ['-f', join(folder, 'haproxy.cfg'), '-db'], join(folder, 'log'))
  await listening(plain, 'haproxy')
  return [
    {
      name: 'haproxy',
      http: `http://127.0.0.1:${plain}`,
      https: `https://127.0.0.1:${secure}`,
      processes: family(child.pid!, () => true),
    },
  ]
}

/** Apache Traffic Server in a root of its own, with its cache in memory. */
export async function trafficServer(options: PeerOptions): Promise<Target[]> {
  const folder = join(options.folder, 'ats')
  const [plain, secure] = [await freePort(), await freePort()]
  const set = join(folder, 'etc')
  for (const each of ['run', 'cache', 'log', 'store']) mkdirSync(join(folder, each), { recursive: true })
  cpSync('/etc/trafficserver', set, { recursive: true })
  const layout = {
    prefix: '/usr',
    exec_prefix: '/usr',
    bindir: '/usr/bin',
    sbindir: '/usr/sbin',
    sysconfdir: set,
    datadir: join(folder, 'cache'),
    libdir: '/usr/lib/trafficserver',
    libexecdir: '/usr/lib/trafficserver/modules',
    localstatedir: folder,
    runtimedir: join(folder, 'run'),
    logdir: join(folder, 'log'),
    cachedir: join(folder, 'cache'),
  }
  writeFileSync(
    join(folder, 'runroot.yaml'),
    Object.entries(layout)
      .map(([name, path]) => `${name}: ${path}\n`)
      .join(''),
  )
  const records: Record<string, string> = {
    'proxy.config.http.server_ports': `STRING ${plain} ${secure}:ssl`,
    'proxy.config.exec_thread.autoconfig': 'INT 0',
    'proxy.config.exec_thread.limit': 'INT 1',
    'proxy.config.accept_threads': 'INT 0',
    'proxy.config.task_threads': 'INT 1',
    'proxy.config.cache.threads_per_disk': 'INT 1',
    'proxy.config.cache.ram_cache.size': 'INT 536870912',
    'proxy.config.http.cache.http': `INT ${options.caches ? 1 : 0}`,
    'proxy.config.http.cache.required_headers': 'INT 0',
    'proxy.config.http.keep_alive_no_activity_timeout_in': 'INT 600',
    'proxy.config.log.logging_enabled': 'INT 0',
    'proxy.config.diags.debug.enabled': 'INT 0',
    'proxy.config.admin.user_id': `STRING ${process.getuid?.() === 0 ? 'trafficserver' : '#-1'}`,
    'proxy.config.http.insert_response_via_str': 'INT 0',
    'proxy.config.url_remap.remap_required': 'INT 1',
    'proxy.config.ssl.server.cert.path': `STRING ${options.folder}`,
    'proxy.config.ssl.server.private_key.path': `STRING ${options.folder}`,
  }
  writeFileSync(
    join(set, 'records.config'),
    `${Object.entries(records)
      .map(([name, value]) => `CONFIG ${name} ${value}`)
      .join('\n')}\n`,
  )
  writeFileSync(join(set, 'remap.config'), `map / http://127.0.0.1:${options.originPort}/\n`)
  writeFileSync(join(set, 'storage.config'), `${join(folder, 'store')} 256M\n`)
  writeFileSync(join(set, 'ssl_multicert.config'), 'dest_ip=* ssl_cert_name=certificate.pem ssl_key_name=key.pem\n')
  // It refuses to serve as root.
  if (process.getuid?.() === 0) spawnSync('chown', ['-R', 'trafficserver', folder])
  const child = pinned(
    options.core,
    'traffic_server',
    [`--run-root=${join(folder, 'runroot.yaml')}`],
    join(options.folder, 'ats.log'),
  )
  await listening(plain, 'traffic server')
  return [
    {
      name: 'traffic server',
      http: `http://127.0.0.1:${plain}`,
      https: `https://127.0.0.1:${secure}`,
      processes: family(child.pid!, () => true),
    },
  ]
}
