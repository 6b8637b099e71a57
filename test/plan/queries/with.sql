-- name: used once it is part of the query
WITH rich AS (SELECT c_custkey FROM customer WHERE c_acctbal > 9000) SELECT count(*) FROM orders JOIN rich ON o_custkey = c_custkey

-- name: used twice it is written once
WITH sold AS (SELECT l_suppkey AS supplier, sum(l_tax) AS total FROM lineitem GROUP BY 1)
SELECT a.supplier, a.total, b.total FROM sold a JOIN sold b ON a.supplier = b.supplier + 1

-- name: used twice and filtered alike it is filtered once
WITH w AS (SELECT o_custkey, o_totalprice FROM orders WHERE o_orderdate >= DATE '1998-01-01')
SELECT o_custkey FROM w WHERE o_totalprice > (SELECT avg(o_totalprice) FROM w)

-- name: in one fragment in parts and whole it is read both ways
WITH w AS (SELECT o_orderkey, o_custkey FROM orders WHERE o_totalprice > 555000)
SELECT a.o_orderkey, b.o_orderkey FROM w a JOIN w b ON a.o_custkey = b.o_custkey AND a.o_orderkey < b.o_orderkey

-- name: materialized and used once it is part of the query
WITH w AS MATERIALIZED (SELECT l_suppkey, l_tax FROM lineitem WHERE l_tax > 0.07) SELECT l_suppkey, sum(l_tax) FROM w GROUP BY 1

-- name: one over another
WITH a AS (SELECT l_suppkey AS s, sum(l_tax) AS t FROM lineitem GROUP BY 1), b AS (SELECT max(t) AS m FROM a)
SELECT s FROM a JOIN b ON t = m

-- name: what nobody wrote a WITH for is computed once too
SELECT ps_partkey, sum(ps_supplycost) AS cost FROM partsupp JOIN supplier ON ps_suppkey = s_suppkey WHERE s_acctbal > 9500
GROUP BY ps_partkey HAVING sum(ps_supplycost) > (
  SELECT avg(ps_supplycost * ps_availqty) FROM partsupp JOIN supplier ON ps_suppkey = s_suppkey WHERE s_acctbal > 9500)

-- name: rows of one table are read again where each use has a filter by keys
SELECT count(*) FROM orders a JOIN orders b ON a.o_orderkey = b.o_orderkey + 1
WHERE a.o_orderdate >= DATE '1998-01-01' AND b.o_orderdate >= DATE '1998-01-01'
