/** A state that tests begin with: one zone with a bit of everything, two sites, a map. */
import type { DnsState } from '../../../src/dns/state.ts'

export const exampleState = (): DnsState => ({
  zones: [
    {
      name: 'cdn.example',
      records: [
        { type: 'NS', data: ['ns1', 'ns2'] },
        { name: 'ns1', type: 'A', data: '192.0.2.53' },
        { name: 'ns2', type: 'A', data: '198.51.100.53' },
        { type: 'TXT', data: 'v=spf1 -all' },
        { name: 'www', type: 'CNAME', data: 'shop' },
        { name: 'loop-1', type: 'CNAME', data: 'loop-2' },
        { name: 'loop-2', type: 'CNAME', data: 'loop-1' },
        { name: 'away', type: 'CNAME', data: 'elsewhere.example.' },
        { name: '*.wild', type: 'A', data: '192.0.2.99' },
        { name: 'deep.in.the', type: 'TXT', data: 'deep' },
        { name: 'sub', type: 'NS', data: 'ns.sub' },
        { name: 'ns.sub', type: 'A', data: '192.0.2.77' },
        { name: 'mail', type: 'MX', data: ['10 mx1', '20 mx2.elsewhere.example.'] },
        { name: 'service', type: 'HTTPS', data: '1 . alpn="h2,http/1.1" ipv4hint=192.0.2.1' },
        { name: '_sip._tcp', type: 'SRV', data: '0 5 5060 sip' },
        { name: 'ca', type: 'CAA', data: '0 issue "ca.example"' },
        { name: 'large', type: 'TXT', data: Array.from({ length: 12 }, (_, at) => `${at} ${'x'.repeat(200)}`) },
      ],
    },
  ],
  sites: [{ name: 'tokyo' }, { name: 'osaka' }],
  edges: [
    { name: 'tokyo-1', site: 'tokyo', addresses: ['192.0.2.1', '2001:db8::1'] },
    { name: 'tokyo-2', site: 'tokyo', addresses: ['192.0.2.2', '2001:db8::2'] },
    { name: 'osaka-1', site: 'osaka', addresses: ['198.51.100.1'] },
  ],
  maps: [
    {
      name: 'world',
      prefixes: {
        '203.0.113.0/24': ['osaka', 'tokyo'],
        '203.0.113.128/25': ['tokyo', 'osaka'],
        '2001:db8:7::/48': ['osaka'],
      },
      default: ['tokyo', 'osaka'],
    },
  ],
  properties: [{ name: 'shop', names: ['shop.cdn.example'] }],
  settings: { identity: 'r1', rateLimit: { perSecond: 0 } },
})
