-- name: refuse a set operation
SELECT l_orderkey FROM lineitem UNION ALL SELECT o_orderkey FROM orders

-- name: refuse an unrepeatable function
SELECT l_orderkey FROM lineitem WHERE random() < 0.1

-- name: refuse the time of day
SELECT count(*) FROM lineitem WHERE l_shipdate < now()

-- name: refuse a sample
SELECT count(*) FROM lineitem USING SAMPLE 10 PERCENT

-- name: refuse a sample of another table
SELECT count(*) FROM lineitem JOIN orders TABLESAMPLE 10 PERCENT ON l_orderkey = o_orderkey

-- name: refuse a query without tables
SELECT 1 + 1 AS two

-- name: refuse a table function alone
SELECT count(*) FROM range(10)

-- name: refuse a limit in per cent
SELECT l_orderkey FROM lineitem ORDER BY 1 LIMIT 10%

-- name: refuse a full join
SELECT count(*) FROM orders FULL JOIN lineitem ON o_orderkey = l_orderkey

-- name: refuse a positional join
SELECT count(*) FROM orders POSITIONAL JOIN lineitem

-- name: refuse an asof join
SELECT count(*) FROM orders ASOF JOIN lineitem ON o_orderkey = l_orderkey AND o_orderdate >= l_shipdate

-- name: refuse a subquery that needs all rows
SELECT count(*) FROM (SELECT l_suppkey FROM lineitem ORDER BY l_tax LIMIT 10) AS q

-- name: refuse to divide a common table expression
WITH w AS (SELECT * FROM lineitem) SELECT count(*) FROM w

-- name: refuse windows
SELECT l_orderkey, row_number() OVER (PARTITION BY l_orderkey ORDER BY l_linenumber) FROM lineitem

-- name: refuse qualify
SELECT l_orderkey FROM lineitem QUALIFY row_number() OVER (PARTITION BY l_orderkey ORDER BY l_linenumber) = 1

-- name: refuse distinct on
SELECT DISTINCT ON (l_shipmode) l_shipmode, l_tax FROM lineitem ORDER BY l_shipmode, l_tax

-- name: refuse distinct ordered by something else
SELECT DISTINCT l_shipmode FROM lineitem ORDER BY length(l_shipmode)

-- name: refuse order without limit
SELECT l_orderkey FROM lineitem ORDER BY l_orderkey

-- name: refuse limit without order
SELECT l_orderkey FROM lineitem LIMIT 10

-- name: refuse a computed limit
SELECT l_orderkey FROM lineitem ORDER BY 1 LIMIT 5 + 5

-- name: refuse order by all
SELECT l_orderkey FROM lineitem ORDER BY ALL LIMIT 10

-- name: refuse order by an expression over an alias
SELECT l_tax AS l_discount, l_orderkey FROM lineitem ORDER BY l_discount + 1 LIMIT 10

-- name: refuse distinct aggregates
SELECT l_shipmode, count(DISTINCT l_suppkey) FROM lineitem GROUP BY l_shipmode

-- name: refuse ordered aggregates
SELECT string_agg(l_shipmode, ',' ORDER BY l_tax) FROM lineitem

-- name: refuse aggregates without a merge
SELECT l_shipmode, median(l_tax) FROM lineitem GROUP BY l_shipmode

-- name: refuse a star beside aggregates
SELECT min(COLUMNS('l_.*')) FROM lineitem

-- name: refuse grouping sets
SELECT l_shipmode, l_returnflag, count(*) FROM lineitem GROUP BY ROLLUP (l_shipmode, l_returnflag)

-- name: refuse a subquery beside aggregates
SELECT count(*) > (SELECT count(*) FROM orders) FROM lineitem

-- name: refuse a subquery as a key
SELECT count(*) FROM lineitem GROUP BY (SELECT max(n_name) FROM nation WHERE n_nationkey = l_linenumber)

-- name: refuse keys that are written in another way
SELECT l_tax + 0, count(*) FROM (SELECT * FROM lineitem) AS q GROUP BY q.l_tax

-- name: refuse a constant as a key
SELECT count(*) FROM lineitem GROUP BY 'x'

-- name: refuse a key that may be an alias
SELECT upper(m) AS m, count(*) FROM (SELECT l_shipmode AS m FROM lineitem) AS q GROUP BY m

-- name: refuse having over an alias that may be a column
SELECT l_tax * 2 AS l_tax, count(*) FROM lineitem GROUP BY lineitem.l_tax HAVING l_tax > 1

-- name: refuse group by all over a constant
SELECT 'x' AS x, l_shipmode, count(*) FROM lineitem GROUP BY ALL

-- name: refuse group by all with columns in having
SELECT l_shipmode, count(*) FROM lineitem GROUP BY ALL HAVING l_shipmode > 'M'

-- name: refuse a lambda beside aggregates
SELECT list_transform([1], lambda x: x + l_linenumber) AS l, l_linenumber, count(*) FROM lineitem GROUP BY l_linenumber

-- name: refuse a type that segments lose (time with time zone)
SELECT clock, count(*) FROM oddities GROUP BY clock

-- name: refuse a type that segments lose (seconds)
SELECT min(seconds) FROM oddities

-- name: refuse a type that segments lose (array)
SELECT DISTINCT triple FROM oddities

-- name: refuse a type that segments lose (bits)
SELECT bits FROM oddities ORDER BY id LIMIT 3

-- name: refuse a type that segments lose (list of wide integers)
SELECT count(*) FROM oddities GROUP BY [wide]

-- name: refuse an average that is no number
SELECT avg(l_shipdate) FROM lineitem

-- name: refuse the time of day without parentheses
SELECT CURRENT_TIMESTAMP, count(*) FROM lineitem WHERE l_shipdate < current_date GROUP BY 1
