-- name: only the columns that are used are read
SELECT l_orderkey, l_tax * 2 FROM lineitem WHERE l_shipmode = 'AIR'

-- name: a star below an aggregate reads no more than the aggregate does
SELECT max(o_totalprice) FROM (SELECT * FROM orders JOIN customer ON o_custkey = c_custkey) AS q

-- name: a join key that nobody needs afterwards ends at the join
SELECT c_mktsegment, sum(o_totalprice) FROM orders JOIN customer ON o_custkey = c_custkey GROUP BY c_mktsegment

-- name: partitions are pruned by one value
SELECT driver FROM trips WHERE region = 'north, far'

-- name: partitions are pruned by a range
SELECT * FROM trips WHERE day BETWEEN DATE '2024-01-02' AND DATE '2024-02-28'

-- name: partitions are pruned by null
SELECT driver FROM trips WHERE region IS NULL AND day > DATE '2024-02-01'

-- name: partitions are pruned by or and in
SELECT driver FROM trips WHERE region = 'east' AND day IN (DATE '2024-01-01', DATE '2024-03-15') OR month(day) = 2

-- name: no partition is left and nothing is read
SELECT region, sum(fare) FROM trips WHERE day = DATE '1999-01-01' GROUP BY region

-- name: partitions are pruned by a condition of an inner join
SELECT t.driver, sum(fare) FROM trips t JOIN customer ON c_custkey = driver AND t.region = 'east' GROUP BY t.driver

-- name: partitions of the side that an outer join pads are pruned by its condition
SELECT count(*) FROM customer LEFT JOIN trips t ON c_custkey = driver AND t.region = 'east'

-- name: partitions of the side that an outer join keeps are not pruned by its condition
SELECT count(*) FROM trips t LEFT JOIN customer ON c_custkey = driver AND t.region = 'east'

-- name: partitions are not pruned by other columns
SELECT count(driver) FROM trips WHERE region = note

-- name: each use of a table is pruned by itself
SELECT count(*) FROM trips a JOIN trips b ON a.id = b.id WHERE a.region = 'east' AND b.region = 'north, far'

-- name: partitions are pruned inside a subquery
SELECT count(*) FROM customer WHERE c_custkey IN (SELECT driver FROM trips WHERE day = DATE '2024-01-01')

-- name: files and row groups are pruned by a range of a column that grows
SELECT id, body FROM events WHERE happened >= TIMESTAMP '2024-01-10 12:00:00' AND happened < TIMESTAMP '2024-01-13 00:00:00'

-- name: files and row groups are pruned by a constant that is folded first
SELECT body FROM events WHERE happened >= DATE '2024-01-31' - INTERVAL 1 DAY

-- name: files are pruned by what is null in all of their rows
SELECT body FROM events WHERE level > 3

-- name: files are pruned through a join, an aggregation and a view
SELECT * FROM (SELECT id, count(*) AS n FROM events JOIN nation ON level = n_nationkey GROUP BY id) AS q WHERE id BETWEEN 3000001 AND 3500000

-- name: footers that rule out every row leave nothing to read
SELECT body FROM events WHERE id < 0

-- name: columns of which footers say nothing prune nothing
SELECT id FROM events WHERE body = 'x'

-- name: files of other schemas are read as the table declares
SELECT note, sum(price) FROM drift GROUP BY note

-- name: a table without files makes no rows
SELECT b, count(*) FROM nothing GROUP BY b
