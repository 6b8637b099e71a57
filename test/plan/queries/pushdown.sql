-- name: a filter goes below an inner join on both sides by equal keys
SELECT o_totalprice, l_tax FROM orders JOIN lineitem ON o_orderkey = l_orderkey WHERE o_orderkey < 1000

-- name: a filter on the kept side goes below a left join
SELECT o_orderkey, l_tax FROM orders LEFT JOIN lineitem ON o_orderkey = l_orderkey WHERE o_totalprice > 500000

-- name: a filter on the padded side makes a left join an inner one
SELECT o_orderkey, l_tax FROM orders LEFT JOIN lineitem ON o_orderkey = l_orderkey WHERE l_tax > 0.07

-- name: a filter for null on the padded side stays above a left join
SELECT o_orderkey FROM orders LEFT JOIN lineitem ON o_orderkey = l_orderkey WHERE l_tax IS NULL

-- name: a condition on the kept side stays in a left join
SELECT o_orderkey, l_tax FROM orders LEFT JOIN lineitem ON o_orderkey = l_orderkey AND o_orderstatus = 'F'

-- name: a filter on one side makes a full join a left one
SELECT o_orderkey, l_tax FROM orders FULL JOIN lineitem ON o_orderkey = l_orderkey WHERE o_totalprice > 500000

-- name: a filter goes below a semi join and an anti join
SELECT o_orderkey FROM orders SEMI JOIN lineitem ON o_orderkey = l_orderkey ANTI JOIN customer ON o_custkey = c_custkey WHERE o_totalprice > 500000

-- name: a filter on the keys goes below an aggregation
SELECT * FROM (SELECT l_shipmode, l_suppkey, sum(l_tax) AS s FROM lineitem GROUP BY 1, 2) AS q WHERE l_shipmode = 'AIR' AND s > 100

-- name: having on the keys is a filter of the rows
SELECT l_shipmode, sum(l_tax) FROM lineitem GROUP BY l_shipmode HAVING sum(l_tax) > 100 AND l_shipmode <> 'AIR'

-- name: a filter on a key that not all grouping sets have stays above
SELECT * FROM (SELECT l_shipmode, l_returnflag, count(*) AS n FROM lineitem GROUP BY ROLLUP (l_shipmode, l_returnflag)) AS q WHERE l_returnflag = 'R'

-- name: a filter on the partition keys goes below windows
SELECT * FROM (SELECT l_suppkey, l_tax, rank() OVER (PARTITION BY l_suppkey ORDER BY l_tax) AS r FROM lineitem) AS q WHERE l_suppkey = 7 AND r = 1

-- name: a filter on other columns stays above windows
SELECT * FROM (SELECT l_suppkey, l_tax, rank() OVER (PARTITION BY l_suppkey ORDER BY l_tax) AS r FROM lineitem) AS q WHERE l_tax = 0.01

-- name: a filter goes into all inputs of a union
SELECT * FROM (SELECT l_orderkey AS k, l_tax AS v FROM lineitem UNION ALL SELECT o_orderkey, o_totalprice FROM orders) AS q WHERE k < 1000

-- name: a filter goes into both inputs of except and intersect
SELECT * FROM (SELECT o_custkey FROM orders EXCEPT SELECT c_custkey FROM customer) AS q WHERE o_custkey < 1000

-- name: a filter goes below distinct
SELECT * FROM (SELECT DISTINCT l_shipmode, l_returnflag FROM lineitem) AS q WHERE l_returnflag = 'R'

-- name: a filter stays above a limit
SELECT * FROM (SELECT o_orderkey, o_totalprice FROM orders ORDER BY o_orderkey LIMIT 100) AS q WHERE o_totalprice > 500000

-- name: what all alternatives of an or have in common is asked of each table
SELECT count(*) FROM lineitem JOIN part ON p_partkey = l_partkey
WHERE (p_brand = 'Brand#12' AND l_quantity < 5) OR (p_brand = 'Brand#23' AND l_quantity > 45)

-- name: a filter that may fail is not asked of rows that a join drops
SELECT o_orderkey FROM orders JOIN lineitem ON o_orderkey = l_orderkey WHERE CAST(o_comment AS INTEGER) = l_linenumber

-- name: a filter goes through a view over a view
SELECT total FROM yearly WHERE y > 1995
