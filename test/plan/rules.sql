-- name: aggregate without keys
SELECT count(*), sum(l_quantity), avg(l_tax), min(l_shipdate), max(l_comment), bool_and(l_tax > 0), any_value(1) FROM lineitem

-- name: aggregate by ordinals, aliases and expressions
SELECT year(l_shipdate) AS y, upper(l_shipmode), l_tax + 1 AS t, count(*) FROM lineitem GROUP BY 1, upper(l_shipmode), t

-- name: aggregate by all
SELECT l_shipmode, l_returnflag, count(*) FROM lineitem GROUP BY ALL ORDER BY l_shipmode

-- name: aggregate with filter and having
SELECT l_shipmode, count(*) FILTER (WHERE l_tax > 0.01) AS n FROM lineitem GROUP BY l_shipmode HAVING sum(l_tax) > 100 AND l_shipmode <> 'AIR'

-- name: aggregate of a wide integer is exchanged as a decimal
SELECT l_suppkey, sum(l_orderkey), sum(l_linenumber) FROM lineitem GROUP BY l_suppkey

-- name: aggregate used twice is computed once
SELECT sum(l_tax), sum(l_tax) * 2, sum(l_tax) / count(*), avg(l_tax) FROM lineitem

-- name: aggregate with order and limit
SELECT l_suppkey, sum(l_tax) AS s FROM lineitem GROUP BY l_suppkey ORDER BY s DESC NULLS LAST, l_suppkey LIMIT 5 OFFSET 2

-- name: aggregate with a window over groups
SELECT l_shipmode, rank() OVER (ORDER BY sum(l_tax) DESC) FROM lineitem GROUP BY l_shipmode

-- name: aggregate over aliases that look like ours
SELECT l_shipmode AS key_1, l_returnflag AS key_0, sum(l_tax) AS value_0 FROM lineitem GROUP BY l_shipmode, l_returnflag ORDER BY key_0, key_1

-- name: aggregate over a subquery
SELECT m, count(*) FROM (SELECT l_shipmode AS m FROM lineitem WHERE l_tax > 0) AS q GROUP BY m

-- name: aggregate over views on views
SELECT max(total) FROM yearly WHERE y > 1995

-- name: aggregate over a view
SELECT supplier, sum(amount) FROM revenue WHERE day >= DATE '1995-01-01' GROUP BY supplier

-- name: distinct
SELECT DISTINCT l_shipmode, l_returnflag FROM lineitem

-- name: distinct with order and limit
SELECT DISTINCT l_shipmode AS m, l_tax FROM lineitem ORDER BY m DESC, 2 LIMIT 3

-- name: top n
SELECT l_orderkey, l_comment FROM lineitem ORDER BY l_shipdate DESC, l_orderkey LIMIT 10 OFFSET 5

-- name: top n of everything
SELECT * FROM orders ORDER BY o_totalprice DESC LIMIT 3

-- name: top n over an expression
SELECT o_orderkey FROM orders ORDER BY o_totalprice / 2, o_orderkey LIMIT 3

-- name: rows
SELECT l_orderkey, l_tax * 2 FROM lineitem WHERE l_tax > 0.07

-- name: rows of a join
SELECT * FROM lineitem JOIN supplier ON l_suppkey = s_suppkey WHERE s_nationkey = 3

-- name: rows with a subquery
SELECT o_orderkey FROM orders WHERE o_custkey IN (SELECT c_custkey FROM customer WHERE c_acctbal < 0)

-- name: left join divides the left
SELECT count(*) FROM orders LEFT JOIN lineitem ON o_orderkey = l_orderkey

-- name: right join divides the right
SELECT count(*) FROM orders RIGHT JOIN lineitem ON o_orderkey = l_orderkey

-- name: semi join divides the left
SELECT count(*) FROM orders SEMI JOIN lineitem ON o_orderkey = l_orderkey

-- name: anti join divides the left
SELECT count(*) FROM orders ANTI JOIN lineitem ON o_orderkey = l_orderkey

-- name: small tables beside a large one
SELECT n_name, count(*) FROM lineitem JOIN supplier ON l_suppkey = s_suppkey JOIN nation ON s_nationkey = n_nationkey GROUP BY n_name

-- name: common table expressions are read whole
WITH rich AS (SELECT c_custkey FROM customer WHERE c_acctbal > 9000) SELECT count(*) FROM orders JOIN rich ON o_custkey = c_custkey

-- name: lateral
SELECT o_orderkey, q.n FROM orders, LATERAL (SELECT count(*) AS n FROM nation WHERE n_nationkey = o_custkey % 25) AS q

-- name: schema drift
SELECT note, sum(price) FROM drift GROUP BY note

-- name: nothing to read
SELECT b, count(*) FROM nothing GROUP BY b
