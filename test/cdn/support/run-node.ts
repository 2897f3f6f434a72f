/** An edge or a router that joins, without the rest of the command line: options as JSON, the first argument. */
const { kind, clockMs = 0, ...options } = JSON.parse(process.argv[2]!)
if (clockMs !== 0) {
  const now = Date.now
  Date.now = () => now() + clockMs
}
if (kind === 'dns') await (await import('../../../src/cli/join-dns.ts')).runJoinedDns(options)
else await (await import('../../../src/cli/join.ts')).runJoined(options)

export {}
