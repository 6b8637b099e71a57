-- name: a function that differs from call to call
SELECT l_orderkey FROM lineitem WHERE random() < 0.1

-- name: a sample
SELECT count(l_tax) FROM lineitem USING SAMPLE 10 PERCENT

-- name: a table function without a table
SELECT count(*) FROM range(10)

-- name: a table function of many rows beside a table
SELECT count(*) FROM nation JOIN range(5000000) AS r(i) ON n_nationkey = i

-- name: a recursive with
WITH RECURSIVE r AS (SELECT n_nationkey AS k FROM nation UNION ALL SELECT k + 1 FROM r WHERE k < 30) SELECT count(*) FROM r

-- name: a limit in per cent
SELECT l_orderkey FROM lineitem ORDER BY 1 LIMIT 10%

-- name: a positional join
SELECT count(*) FROM orders POSITIONAL JOIN lineitem

-- name: an asof join
SELECT count(*) FROM orders ASOF JOIN lineitem ON o_orderkey = l_orderkey AND o_orderdate >= l_shipdate

-- name: a list with its positions
SELECT w, i FROM oddities, unnest(words) WITH ORDINALITY AS u(w, i)

-- name: a type that segments lose (time with time zone)
SELECT clock, count(*) FROM oddities GROUP BY clock

-- name: a type that segments lose (array)
SELECT DISTINCT triple FROM oddities

-- name: a type that segments lose (bits)
SELECT bits FROM oddities ORDER BY id LIMIT 3

-- name: a type that segments lose (list of wide integers)
SELECT count(*) FROM oddities GROUP BY [wide]

-- name: an interval
SELECT max(l_shipdate - l_commitdate), max(CAST(l_shipdate AS TIMESTAMP) - CAST(l_commitdate AS TIMESTAMP)) FROM lineitem

-- name: nothing of it can be done in parts
SELECT b, count(*) FROM nothing WHERE 1 = 0 GROUP BY b
