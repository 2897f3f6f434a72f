/** An edge.yaml read and checked: the schema of the edge put to core's way of reading a configuration. */
import { type ReadText, readText } from '../../core/config-text.ts'
import { CONFIG_LIMITS, EdgeConfig } from './schema.ts'

export { ConfigFaultAt, ConfigRefused } from '../../core/config-text.ts'

/** A configuration with the way back to its lines. */
export type ReadConfig = ReadText<EdgeConfig>

/**
 * Reads and checks. `name` is the file's, for messages.
 * @throws ConfigRefused
 */
export const readConfig = (text: string, name: string): ReadConfig =>
  readText(EdgeConfig, text, name, CONFIG_LIMITS.fileBytes)
