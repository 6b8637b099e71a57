export interface Question {
  readonly title: string
  readonly sql: string
}

/** What the demonstration asks: a join of four tables and an aggregation over all lines of orders. */
export const QUESTIONS: readonly Question[] = [
  {
    title: 'a join: who bought most in 1995, by nation',
    sql: `SELECT n_name, count(DISTINCT o_orderkey) AS orders, sum(l_extendedprice * (1 - l_discount)) AS revenue
FROM customer
JOIN orders ON o_custkey = c_custkey
JOIN lineitem ON l_orderkey = o_orderkey
JOIN nation ON n_nationkey = c_nationkey
WHERE o_orderdate >= DATE '1995-01-01' AND o_orderdate < DATE '1996-01-01'
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
