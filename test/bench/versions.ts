import { DuckDBInstance } from '@duckdb/node-api'
import type { Bench } from './bench.ts'

/** What was measured, by the programs' own word. */
export async function versionsOf(bench: Bench): Promise<string> {
  const { db, cluster } = await bench.world()
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const duckdb = (await connection.runAndReadAll('SELECT version()')).getRows()[0]?.[0]
  connection.closeSync()
  const answer = await fetch(`${cluster.etcdEndpoints[0] ?? ''}/version`)
  const etcd = ((await answer.json()) as { readonly etcdserver?: string }).etcdserver
  return `Nyala ${db.server?.version ?? ''}, DuckDB ${String(duckdb)}, etcd ${etcd ?? ''}, Node.js ${process.versions.node}`
}
