/**
 * The country of an address, from the free database of the registries' own records (CC0; the records by the Number Resource
 * Organization). Read at the first rule that asks for a country; without the file every country is unknown.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type CountryResponse, Reader } from 'mmdb-lib'

/** Addresses remembered; a look-up costs about 3 µs, a remembered one a tenth. */
const REMEMBERED = 10_000

export type CountryOf = (address: string) => string | null

/** Opens an MMDB file, or the one that comes along. @throws when the file cannot be read */
export function openCountries(file?: string): CountryOf {
  const path =
    file ??
    createRequire(import.meta.url).resolve('@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb')
  const reader = new Reader<CountryResponse & { country_code?: string }>(readFileSync(path))
  const remembered = new Map<string, string | null>()
  return (address) => {
    const known = remembered.get(address)
    if (known !== undefined) return known
    let country: string | null = null
    try {
      const found = reader.get(address)
      country = found?.country_code ?? found?.country?.iso_code ?? null
    } catch {
      // Not an address (a unix socket, for instance): from nowhere.
    }
    if (remembered.size >= REMEMBERED) remembered.delete(remembered.keys().next().value!)
    remembered.set(address, country)
    return country
  }
}
