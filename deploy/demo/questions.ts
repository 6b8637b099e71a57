export interface Question {
  readonly title: string
  readonly sql: string
}

/** What the demonstration asks: a join and an aggregation over all lines of orders. */
export const QUESTIONS: readonly Question[] = [
  {
    title: 'a join: whose suppliers sold most in 1995',
    sql: `SELECT n_name AS nation, count(*) AS lines, sum(l_extendedprice * (1 - l_discount)) AS revenue
FROM lineitem
JOIN supplier ON s_suppkey = l_suppkey
JOIN nation ON n_nationkey = s_nationkey
WHERE l_shipdate >= DATE '1995-01-01' AND l_shipdate < DATE '1996-01-01'
GROUP BY n_name
ORDER BY revenue DESC
LIMIT 5`,
  },
  {
    title: 'an aggregation: all lines by how they were shipped',
    sql: `SELECT l_shipmode, count(*) AS lines, sum(l_quantity) AS quantity, avg(l_discount) AS discount,
       max(l_receiptdate - l_shipdate) AS slowest_days
FROM lineitem
GROUP BY l_shipmode
ORDER BY lines DESC`,
  },
]
