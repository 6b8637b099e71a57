import { open } from 'node:fs/promises'

/** `fetch` of local files, which the reader of the field has no other way to open. */
export async function withLocalFiles<T>(work: () => Promise<T>): Promise<T> {
  const remote = globalThis.fetch
  globalThis.fetch = async (input, init) => {
    const path = decodeURI(new URL(String(input)).pathname)
    const range = /^bytes=(\d+)-(\d*)$/.exec(new Headers(init?.headers).get('range') ?? '')
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      const headers = { 'content-length': String(size) }
      if (init?.method === 'HEAD') return new Response(null, { headers })
      const first = Number(range?.[1] ?? 0)
      const last = range?.[2] === undefined || range[2] === '' ? size - 1 : Number(range[2])
      const content = Buffer.alloc(Math.min(last, size - 1) - first + 1)
      await file.read(content, 0, content.length, first)
      return new Response(content, { status: range === null ? 200 : 206 })
    } finally {
      await file.close()
    }
  }
  try {
    return await work()
  } finally {
    globalThis.fetch = remote
  }
}
