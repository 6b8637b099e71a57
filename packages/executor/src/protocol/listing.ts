import { type Infer, s } from '@nyala/client/base'
import { column } from '@nyala/client/protocol'

/** One Parquet file as found by a listing. */
export const listedFile = s.object({
  path: s.string,
  bytes: s.natural,
  modifiedMs: s.number,
  rows: s.natural,
  /** Rows and compressed bytes of each row group, in file order. */
  rowGroups: s.array(s.object({ rows: s.natural, bytes: s.natural })),
  /** Index into `schemas`. */
  schema: s.natural,
  /** Values of the `key=value` directories between the location and the file, in order; decoded, NULL is null. */
  partition: s.array(s.object({ key: s.string, value: s.nullable(s.string) })),
})
export type ListedFile = Infer<typeof listedFile>

export const listing = s.object({
  /** The real path of what was listed, symbolic links resolved. */
  location: s.string,
  files: s.array(listedFile),
  /** The distinct schemas of the files: SQL names and types as the kernel reads them. */
  schemas: s.array(s.array(column)),
})
export type Listing = Infer<typeof listing>
