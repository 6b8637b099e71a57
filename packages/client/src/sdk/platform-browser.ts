import { systemClock } from '../base/clock.ts'
import { dial } from '../wire/browser-transport.ts'
import { crc32 } from '../wire/crc32.ts'
import { codecOf, type ParquetCodec } from './parquet.ts'
import type { Platform } from './platform.ts'
import { CLIENT_VERSION } from './version.ts'

let codec: Promise<ParquetCodec> | undefined

async function load(): Promise<ParquetCodec> {
  const wasm = await import('parquet-wasm/esm')
  await wasm.default()
  return codecOf(wasm)
}

export const browserPlatform: Platform = {
  client: `nyala-js/${CLIENT_VERSION} browser`,
  clock: systemClock,
  crc32,
  dial,
  environment: () => undefined,
  loadParquet: () => (codec ??= load()),
}
