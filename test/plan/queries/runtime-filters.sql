-- name: of the probe side only rows whose keys the build side has are written
SELECT l_orderkey, l_comment, o_clerk FROM lineitem RIGHT JOIN orders ON l_orderkey = o_orderkey WHERE o_orderdate BETWEEN DATE '1995-03-01' AND DATE '1995-03-31'

-- name: what every task has whole is a filter within the fragment
SELECT l_orderkey, l_partkey, o_clerk FROM lineitem JOIN orders ON l_orderkey = o_orderkey WHERE o_orderdate = DATE '1995-03-05'

-- name: of the build side only rows whose keys the probe side has are written
SELECT o_orderkey, l_comment FROM orders LEFT JOIN lineitem ON l_orderkey = o_orderkey WHERE o_orderdate BETWEEN DATE '1995-03-01' AND DATE '1995-03-31'

-- name: an anti join needs of its right side only the keys of its left side
SELECT c_custkey FROM customer WHERE c_acctbal > 9000 AND NOT EXISTS (SELECT 1 FROM orders WHERE o_custkey = c_custkey)

-- name: where most rows find a partner there is no filter
SELECT l_orderkey, o_comment FROM lineitem JOIN orders ON l_orderkey = o_orderkey WHERE o_orderdate >= DATE '1993-01-01'

-- name: a left join does not filter the side that it keeps
SELECT o_orderkey, l_comment FROM orders LEFT JOIN lineitem ON l_orderkey = o_orderkey AND l_shipdate BETWEEN DATE '1995-03-01' AND DATE '1995-08-31'

-- name: a full join filters neither side
SELECT o_orderkey, l_comment FROM (SELECT * FROM orders WHERE o_orderdate = DATE '1995-03-01') AS o FULL JOIN lineitem ON l_orderkey = o_orderkey

-- name: groups without a partner are not made
SELECT p_name, q.n FROM part JOIN (SELECT l_partkey, count(*) AS n FROM lineitem GROUP BY l_partkey) AS q ON l_partkey = p_partkey WHERE p_brand = 'Brand#23' AND p_container = 'MED BOX'

-- name: groups of the side that a left join fills are not made where nothing asks for them
SELECT p_name, q.n FROM part LEFT JOIN (SELECT l_partkey, l_suppkey, sum(l_quantity) AS n FROM lineitem GROUP BY l_partkey, l_suppkey HAVING sum(l_quantity) > 100) AS q ON l_partkey = p_partkey WHERE p_brand = 'Brand#23' AND p_container = 'MED BOX'

-- name: groups are asked for their keys as the join asks, NULL being equal to NULL
SELECT p_name, q.n FROM part JOIN (SELECT DISTINCT l_partkey, l_suppkey AS n FROM lineitem) AS q ON l_partkey IS NOT DISTINCT FROM p_partkey WHERE p_brand = 'Brand#23' AND p_container = 'MED BOX'

-- name: the rows of groups are asked before they are joined
SELECT p_name, q.n FROM part JOIN (SELECT l_partkey, count(*) AS n FROM lineitem JOIN orders ON l_orderkey = o_orderkey WHERE o_orderstatus = 'F' GROUP BY l_partkey) AS q ON l_partkey = p_partkey WHERE p_brand = 'Brand#23' AND p_container = 'MED BOX'

-- name: groups of several sets are all made
SELECT p_name, q.n FROM part JOIN (SELECT l_partkey, l_suppkey, count(*) AS n FROM lineitem GROUP BY ROLLUP (l_partkey, l_suppkey)) AS q ON l_partkey = p_partkey WHERE p_brand = 'Brand#23' AND p_container = 'MED BOX'

-- name: groups that are joined by what was aggregated are all made
SELECT p_name, q.l_suppkey FROM part JOIN (SELECT l_suppkey, max(l_partkey) AS k FROM lineitem GROUP BY l_suppkey) AS q ON k = p_partkey WHERE p_brand = 'Brand#23' AND p_container = 'MED BOX'

-- name: where most groups find a partner all are made
SELECT p_name, q.n FROM part JOIN (SELECT l_partkey, count(*) AS n FROM lineitem GROUP BY l_partkey) AS q ON l_partkey = p_partkey WHERE p_size > 5

-- name: groups of the side that a left join keeps are all made
SELECT p_name, q.n FROM (SELECT l_partkey, count(*) AS n FROM lineitem GROUP BY l_partkey) AS q LEFT JOIN (SELECT * FROM part WHERE p_brand = 'Brand#23' AND p_container = 'MED BOX') AS p ON l_partkey = p_partkey
