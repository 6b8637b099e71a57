/** How many tasks each executor ran, from a query's profile, in the order of their ids. */
export function tasksByExecutor(profile: unknown): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const stage of listIn(profile, 'stages')) {
    for (const task of listIn(stage, 'tasks')) {
      const executor = fieldOf(task, 'executor')
      if (typeof executor === 'string') counts.set(executor, (counts.get(executor) ?? 0) + 1)
    }
  }
  return new Map([...counts].toSorted(([a], [b]) => a.localeCompare(b)))
}

function listIn(value: unknown, name: string): readonly unknown[] {
  const list = fieldOf(value, name)
  return Array.isArray(list) ? list : []
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return (value as Readonly<Record<string, unknown>>)[name]
}
