import { quoted } from './tpch-sql.ts'

/** Rows of each month: few, as the table is there for its partitions. */
export const TRIPS_PER_MONTH = 2_000

export interface Month {
  readonly year: number
  readonly month: number
}

export const TRIP_MONTHS: readonly Month[] = [2024, 2025].flatMap((year) =>
  Array.from({ length: 12 }, (_, i) => ({ year, month: i + 1 })),
)

const CITIES = ['Accra', 'Addis Ababa', 'Cape Town', 'Dakar', 'Kigali', 'Lagos', 'Nairobi', 'Tunis']

/** Trips that began in a month, in no order; needs the macros of the TPC-H queries. One in ten has no tip. */
export function tripsQuery({ year, month }: Month): string {
  const first = ((year * 12 + month) * TRIPS_PER_MONTH).toString()
  const begin = `TIMESTAMP '${year}-${String(month).padStart(2, '0')}-01'`
  return `
  SELECT key AS trip_id, [${CITIES.map(quoted).join(', ')}][least(random(key, 200, 1, 8), random(key, 201, 1, 8))] AS city,
         started AS started_at, started + to_seconds(seconds) AS ended_at,
         round(seconds * random(key, 204, 15, 60) / 3600.0, 2)::DOUBLE AS distance_km,
         random(key, 205, 1, 4)::INTEGER AS passengers,
         ((200 + seconds * 0.9)::INTEGER * 0.01)::DECIMAL(10,2) AS fare,
         CASE WHEN random(key, 206, 1, 10) > 1 THEN (random(key, 207, 0, 900)::INTEGER * 0.01)::DECIMAL(10,2) END AS tip
  FROM (SELECT key, ${begin} + to_seconds(random(key, 202, 0, 28 * 86400 - 1)) AS started,
               random(key, 203, 120, 5400) AS seconds
        FROM range(${first}, ${first} + ${TRIPS_PER_MONTH}) t(key))`
}
