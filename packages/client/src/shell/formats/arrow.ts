import type { Format } from './format.ts'

/** The bytes of an Arrow IPC stream as they come; a statement without a result gives none. */
export const arrowFormat: Format = {
  types: {},
  forPeople: false,
  writer: () => ({
    async begin() {},
    async rows() {},
    async end() {},
  }),
  async pipe(stream, output) {
    const columns = await stream.columns
    if (columns.length === 0) {
      await stream.drain()
      return
    }
    for await (const bytes of stream.ipc()) await output.write(bytes)
  },
}
