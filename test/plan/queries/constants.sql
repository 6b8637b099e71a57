-- name: constants are folded where their value is certain
SELECT l_orderkey FROM lineitem WHERE l_shipdate >= DATE '1998-09-02' + INTERVAL 1 MONTH AND 1 + 1 = 2

-- name: a condition that is never true leaves nothing to read
SELECT l_shipmode, count(*) FROM lineitem WHERE 1 = 0 GROUP BY l_shipmode

-- name: a condition that is never true in one input of a union drops it
SELECT o_orderkey FROM orders UNION ALL SELECT l_orderkey FROM lineitem WHERE false

-- name: a join with nothing is nothing
SELECT o_orderkey, n.b FROM orders JOIN (SELECT * FROM nothing WHERE false) AS n ON o_orderkey = n.a

-- name: an outer join with nothing keeps its other side
SELECT o_orderkey, n.b FROM orders LEFT JOIN (SELECT * FROM nothing WHERE 1 > 2) AS n ON o_orderkey = n.a

-- name: a query without tables is answered by the coordinator
SELECT 1 + 1 AS two, upper('x') AS x

-- name: rows of values are answered by the coordinator
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(n, s)

-- name: count of a table is answered from footers
SELECT count(*) FROM lineitem

-- name: count min and max are answered from footers
SELECT count(*), min(happened), max(id), count(level) FROM events

-- name: count is answered from partitions that a filter leaves
SELECT count(*) FROM trips WHERE region = 'east'

-- name: count is answered from row groups that a filter leaves whole
SELECT count(*) FROM events WHERE id > 4000000

-- name: count reads what a filter cuts row groups into
SELECT count(*) FROM events WHERE id > 4000001

-- name: min of a column without footers is read
SELECT min(body) FROM events
