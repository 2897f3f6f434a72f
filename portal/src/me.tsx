/** Who is signed in, for every screen inside the shell. */
import { createContext, useContext } from 'react'
import type { Me, Role } from './types.ts'

export const MeContext = createContext<Me | null>(null)

export function useMe(): Me {
  const me = useContext(MeContext)
  if (!me) throw new Error('useMe is for screens inside the shell')
  return me
}

/** Whether the reader's role may change things of a kind; the API decides, this only hides what it would refuse. */
export function useMay(): { order: boolean; operate: boolean; bill: boolean; own: boolean } {
  const me = useMe()
  const role: Role = me.user?.role ?? 'read-only'
  const operator = me.party.kind === 'operator'
  return {
    order: role === 'owner' || role === 'engineer',
    operate: operator && (role === 'owner' || role === 'engineer'),
    bill: me.party.kind !== 'customer' && (role === 'owner' || role === 'finance'),
    own: role === 'owner',
  }
}
