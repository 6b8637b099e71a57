import { Catalog } from '../catalog.ts'
import { openCluster } from '../cluster.ts'
import type { MemoryKv, MemoryKvFaults } from '../memory-kv.ts'
import type { World } from './world.ts'

export interface Opened {
  readonly catalog: Catalog
  readonly kv: MemoryKv
}

/** A catalog over a connection of its own, whose faults begin once it is open. */
export async function openCatalog(world: World, faults: MemoryKvFaults = {}): Promise<Opened> {
  await openCluster(world.on(world.connect()))
  const kv = world.connect()
  const catalog = await Catalog.open(world.on(kv))
  kv.faults = faults
  return { catalog, kv }
}
