import type { Clock } from '../base/clock.ts'
import type { Crc32 } from '../wire/crc32.ts'
import type { Transport } from '../wire/connection.ts'
import type { ParquetCodec } from './parquet.ts'

/** What differs between Node and browsers. Nothing else in the SDK may import either. */
export interface Platform {
  /** Said to coordinators in `hello`. */
  readonly client: string
  readonly clock: Clock
  readonly crc32: Crc32
  /** Opens a WebSocket to `ws://address/path`, or rejects with `connection_failure`. */
  dial(
    address: string,
    path: string,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<Transport>
  /** An environment variable; always undefined in a browser. */
  environment(name: string): string | undefined
  /** Loads the Parquet codec, a few megabytes of WebAssembly, on first use. */
  loadParquet(): Promise<ParquetCodec>
}
