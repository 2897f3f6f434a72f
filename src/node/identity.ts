/**
 * Who a node is: a key pair made here, whose private half never leaves the folder, and what the control plane calls the
 * node. The pair is on disk before the token is sent, so that a repeat after a lost answer is the same node.
 */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Enrolled, NodeKind } from '../feed/messages.ts'
import { readPrivateKey } from '../feed/signature.ts'
import { readWhole, writeWhole } from './files.ts'
import type { ControlLine } from './line.ts'

export interface Identity {
  id: string
  name: string
  site: string
  privateKey: KeyObject
}

interface Kept {
  publicKey: string
  privateKey: string
  kind: NodeKind
  enrolled?: { id: string; name: string; site: string }
}

const FILE = 'node.json'

/** The key pair of a folder, made at the first call, and who it is once it has enrolled. */
export async function openIdentity(folder: string, kind: NodeKind) {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, FILE)
  const text = await readWhole(file)
  let kept: Kept
  if (text !== null) {
    kept = JSON.parse(text) as Kept
    if (kept.kind !== kind) throw new Error(`${folder} belongs to a node of kind ${kept.kind}; use another folder.`)
  } else {
    const pair = generateKeyPairSync('ed25519', {
      publicKeyEncoding: { type: 'spki', format: 'der' },
      privateKeyEncoding: { type: 'pkcs8', format: 'der' },
    })
    kept = { publicKey: pair.publicKey.toString('base64url'), privateKey: pair.privateKey.toString('base64url'), kind }
    await writeWhole(file, JSON.stringify(kept))
  }
  const identityOf = (enrolled: NonNullable<Kept['enrolled']>): Identity => ({
    ...enrolled,
    privateKey: readPrivateKey(kept.privateKey),
  })
  return {
    known: kept.enrolled === undefined ? null : identityOf(kept.enrolled),
    /** @throws FeedRefused, or the system's error */
    async enrol(line: ControlLine, token: string, software: string): Promise<Identity> {
      const answer = await line.post<Enrolled>(
        '/feed/enrol',
        { token, kind, publicKey: kept.publicKey, software },
        null,
      )
      line.learnTime(answer.time)
      kept.enrolled = { id: answer.id, name: answer.name, site: answer.site }
      await writeWhole(file, JSON.stringify(kept))
      return identityOf(kept.enrolled)
    },
  }
}
