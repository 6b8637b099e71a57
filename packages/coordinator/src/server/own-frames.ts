import { chainCrc, crc32, decodeFrame } from '@nyala/client/wire'
import type { FrameSource, ResultRelay } from '../schedule/result-relay.ts'

/** Nobody waits for credit, or keeps anything, where frames are made here. */
const OWN: FrameSource = { sent: () => undefined, acknowledged: () => undefined }

/** Pushes frames that were made here as the whole result of one task. The relay writes into them. */
export function pushOwnFrames(
  relay: ResultRelay,
  messages: readonly Uint8Array[],
  rows: number,
): void {
  let crc = 0
  messages.forEach((message, sequence) => {
    const frame = decodeFrame(message)
    if (typeof frame === 'string') throw new Error(`a frame made here does not decode: ${frame}`)
    if (sequence > 0) crc = chainCrc(crc32, crc, frame.crc)
    relay.push(frame, message, OWN)
  })
  relay.end({ task: 0, attempt: 0, frames: messages.length, rows, crc })
}
