/** Numbers of the DNS as IANA keeps them, as far as a router of requests meets them. */

export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  NAPTR: 35,
  DNAME: 39,
  OPT: 41,
  DS: 43,
  SSHFP: 44,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  TLSA: 52,
  CDS: 59,
  CDNSKEY: 60,
  SVCB: 64,
  HTTPS: 65,
  /** RFC 9824: the bit that says that the name of this NSEC does not exist. Asked for, it is a fault. */
  NXNAME: 128,
  TKEY: 249,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  MAILB: 253,
  MAILA: 254,
  ANY: 255,
  CAA: 257,
} as const

export const CLASS = { IN: 1, CH: 3, NONE: 254, ANY: 255 } as const

export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  /** Extended: its upper bits stand in the OPT record. */
  BADVERS: 16,
  BADCOOKIE: 23,
} as const

export const OPTION = { NSID: 3, CLIENT_SUBNET: 8, COOKIE: 10, KEEPALIVE: 11 } as const

const NAMES = new Map<number, string>(Object.entries(TYPE).map(([name, code]) => [code, name]))

/** `AAAA`, or `TYPE65280` for what has no name here (RFC 3597). */
export const typeName = (code: number): string => NAMES.get(code) ?? `TYPE${code}`

/** The code of `AAAA` or `TYPE28`; null for what is no type. */
export function typeCode(name: string): number | null {
  const numbered = /^TYPE(\d{1,5})$/.exec(name)
  if (numbered) return Number(numbered[1]) <= 0xffff ? Number(numbered[1]) : null
  return (TYPE as Record<string, number>)[name] ?? null
}

export const rcodeName = (code: number): string =>
  Object.entries(RCODE).find(([, each]) => each === code)?.[0] ?? `RCODE${code}`
