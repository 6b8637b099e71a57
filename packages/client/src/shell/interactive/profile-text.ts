import { textTable } from '../text-table.ts'
import { shortCount } from '../progress-line.ts'

/** What is shown of a profile. It is decoded here, at its only reader; what has another form is shown as JSON. */
interface Profile {
  readonly reason?: unknown
  readonly planMs?: unknown
  readonly stages?: unknown
}

type Fields = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null

export const profileText = (profile: unknown): string => `${JSON.stringify(profile, null, 2)}\n`

/** One line a task: what ran where, for how long, over how much. */
export function summaryText(profile: unknown): string {
  const { stages, planMs, reason }: Profile = isObject(profile) ? profile : {}
  if (!Array.isArray(stages)) return profileText(profile)
  const rows = stages.filter(isObject).flatMap((stage) => {
    const tasks = Array.isArray(stage['tasks']) ? stage['tasks'].filter(isObject) : []
    return tasks.map((task) => taskRow(stage, task))
  })
  const names = [
    'stage',
    'task',
    'attempt',
    'executor',
    'elapsed',
    'cpu',
    'rows',
    'memory',
    'spill',
  ]
  const heading = `planned in ${milliseconds(planMs)}${typeof reason === 'string' ? `: ${reason}` : ''}\n`
  return heading + textTable(names, rows)
}

const taskRow = (stage: Fields, task: Fields): readonly string[] => [
  plain(stage['fragment']),
  plain(task['task']),
  plain(task['attempt']),
  plain(task['executor']),
  milliseconds(task['elapsedMs']),
  milliseconds(task['cpuMs']),
  count(task['rows']),
  `${count(task['peakMemoryBytes'])}B`,
  `${count(task['spillBytes'])}B`,
]

const plain = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : ''
const milliseconds = (value: unknown): string =>
  typeof value === 'number' ? `${value.toFixed(1)} ms` : ''
const count = (value: unknown): string => (typeof value === 'number' ? shortCount(value) : '')
