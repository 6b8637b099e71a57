-- name: union all is the fragments of all inputs
SELECT l_orderkey FROM lineitem UNION ALL SELECT o_orderkey FROM orders

-- name: union is distinct over union all
SELECT c_nationkey FROM customer UNION SELECT s_nationkey FROM supplier

-- name: unions of unions are one
SELECT o_custkey FROM orders UNION SELECT c_custkey FROM customer UNION SELECT s_suppkey FROM supplier

-- name: an aggregation over union all is in parts of all inputs
SELECT k % 10, count(*) FROM (SELECT l_orderkey AS k FROM lineitem UNION ALL SELECT o_orderkey FROM orders) AS q GROUP BY 1

-- name: intersect is in buckets
SELECT o_custkey FROM orders INTERSECT SELECT c_custkey FROM customer

-- name: except is in buckets
SELECT c_custkey FROM customer EXCEPT SELECT o_custkey FROM orders

-- name: except all counts its rows
SELECT o_custkey FROM orders EXCEPT ALL SELECT user_id FROM clicks

-- name: intersect all counts its rows
SELECT l_suppkey, l_partkey FROM lineitem INTERSECT ALL SELECT ps_suppkey, ps_partkey FROM partsupp

-- name: first rows of a union are the first of each input
SELECT l_orderkey AS k, l_tax FROM lineitem UNION ALL SELECT o_orderkey, o_totalprice FROM orders ORDER BY k LIMIT 10

-- name: a limit over a union is one of each part and of all
SELECT l_orderkey AS k FROM lineitem WHERE l_comment LIKE '%ironic%deposits%' UNION ALL SELECT r_regionkey FROM region LIMIT 10

-- name: a limit within a union stays where it asks for less or in another order
(SELECT l_orderkey AS k FROM lineitem LIMIT 5) UNION ALL (SELECT o_orderkey FROM orders ORDER BY o_totalprice LIMIT 100) LIMIT 10
