-- name: in is a semi join
SELECT o_orderkey FROM orders WHERE o_custkey IN (SELECT c_custkey FROM customer WHERE c_acctbal < 0)

-- name: not in asks for nulls on both sides
SELECT click_id FROM clicks WHERE user_id NOT IN (SELECT c_custkey FROM customer WHERE c_mktsegment = 'BUILDING')

-- name: not in of what may be null
SELECT c_custkey FROM customer WHERE c_custkey NOT IN (SELECT user_id FROM clicks WHERE page = '/a')

-- name: in as a value is a mark
SELECT o_orderkey, o_custkey IN (SELECT user_id FROM clicks WHERE page = '/a') AS clicked FROM orders

-- name: in beside or is a mark
SELECT count(*) FROM orders WHERE o_orderstatus = 'P' OR o_custkey IN (SELECT c_custkey FROM customer WHERE c_acctbal < 0)

-- name: exists is a semi join
SELECT c_name FROM customer WHERE EXISTS (SELECT 1 FROM orders WHERE o_custkey = c_custkey AND o_totalprice > 500000)

-- name: not exists is an anti join
SELECT c_name FROM customer WHERE NOT EXISTS (SELECT 1 FROM orders WHERE o_custkey = c_custkey)

-- name: exists with another condition is a semi join with it
SELECT count(*) FROM lineitem a WHERE EXISTS (SELECT 1 FROM lineitem b WHERE b.l_orderkey = a.l_orderkey AND b.l_suppkey <> a.l_suppkey)

-- name: a scalar subquery is computed once for all tasks
SELECT l_orderkey FROM lineitem WHERE l_extendedprice > (SELECT avg(l_extendedprice) * 5 FROM lineitem)

-- name: a correlated aggregate is joined by its key
SELECT l_orderkey FROM lineitem a WHERE l_quantity > (SELECT 1.5 * avg(l_quantity) FROM lineitem b WHERE b.l_partkey = a.l_partkey)

-- name: a correlated count keeps rows without a match
SELECT c_custkey, (SELECT count(*) FROM orders WHERE o_custkey = c_custkey) AS orders FROM customer

-- name: a correlated scalar in the select list
SELECT l_orderkey, (SELECT s_name FROM supplier WHERE s_suppkey = l_suppkey) AS supplier FROM lineitem

-- name: a lateral join of an aggregate
SELECT o_orderkey, q.n FROM orders, LATERAL (SELECT count(*) AS n FROM nation WHERE n_nationkey = o_custkey % 25) AS q

-- name: a lateral join of the first rows for each
SELECT c_custkey, q.o_orderkey FROM customer, LATERAL (SELECT o_orderkey FROM orders WHERE o_custkey = c_custkey ORDER BY o_totalprice DESC LIMIT 3) AS q

-- name: a subquery as a group key
SELECT (SELECT max(n_name) FROM nation WHERE n_nationkey = l_linenumber) AS name, count(*) FROM lineitem GROUP BY 1

-- name: any and all are comparisons with marks
SELECT count(*) FROM supplier WHERE s_acctbal > ALL (SELECT c_acctbal FROM customer WHERE c_nationkey = 3)

-- name: a correlated subquery without a rule reads the distinct values that it depends on
SELECT n_nationkey, (SELECT sum(o_totalprice) FROM orders WHERE o_custkey > n_nationkey) AS behind FROM nation
