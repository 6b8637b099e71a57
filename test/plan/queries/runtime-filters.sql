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
