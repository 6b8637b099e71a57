-- name: filter and projection
SELECT l_orderkey, l_extendedprice * (1 - l_discount) AS revenue FROM lineitem WHERE l_quantity < 24 AND l_shipmode IN ('AIR', 'RAIL')

-- name: grouping, having, order and limit
SELECT l_returnflag, sum(l_quantity) AS quantity, count(*) FROM lineitem WHERE l_tax > 0.01 GROUP BY l_returnflag HAVING count(*) > 10 ORDER BY quantity DESC LIMIT 3 OFFSET 1

-- name: a group that is computed, over a subquery
SELECT y, sum(volume) FROM (SELECT year(l_shipdate) AS y, l_extendedprice * l_quantity AS volume FROM lineitem) GROUP BY y ORDER BY y

-- name: a computed column that is used twice is computed once
SELECT v + 1, v + 2 FROM (SELECT l_quantity * l_tax AS v FROM lineitem)

-- name: a filter over a computed column
SELECT y FROM (SELECT year(l_shipdate) AS y FROM lineitem) WHERE y > 1995

-- name: grouping sets
SELECT l_returnflag, l_linestatus, grouping(l_returnflag, l_linestatus), sum(l_tax) FROM lineitem GROUP BY ROLLUP (l_returnflag, l_linestatus)

-- name: a constant as a key
SELECT 5 AS five, count(*) FROM lineitem GROUP BY five

-- name: a group without aggregates that counts
SELECT count(*) FROM (SELECT l_orderkey FROM lineitem GROUP BY l_orderkey)

-- name: aggregates with all that they can have
SELECT count(DISTINCT l_suppkey) FILTER (WHERE l_tax > 0), string_agg(l_shipmode, '; ' ORDER BY l_shipdate DESC), quantile_cont(l_quantity, 0.9), median(l_tax) FROM lineitem

-- name: inner joins
SELECT o_orderdate, l_tax FROM orders JOIN lineitem ON o_orderkey = l_orderkey AND l_tax > 0.02 JOIN customer ON c_custkey = o_custkey WHERE c_mktsegment = 'BUILDING'

-- name: outer joins with conditions of one side
SELECT c_name, o_orderkey, n_name FROM customer LEFT JOIN orders ON c_custkey = o_custkey AND o_comment LIKE '%x%' AND c_acctbal > 0 FULL JOIN nation ON n_nationkey = c_nationkey

-- name: the same table twice
SELECT a.n_name, b.n_name FROM nation a, nation b WHERE a.n_regionkey = b.n_regionkey AND a.n_nationkey < b.n_nationkey

-- name: semi and anti joins
SELECT c_name FROM customer SEMI JOIN orders ON c_custkey = o_custkey ANTI JOIN nation ON c_nationkey = n_nationkey AND n_name < c_name

-- name: IN and NOT IN
SELECT ps_partkey FROM partsupp WHERE ps_suppkey IN (SELECT s_suppkey FROM supplier WHERE s_acctbal > 0) AND ps_partkey NOT IN (SELECT p_partkey FROM part WHERE p_size = 1)

-- name: IN as a value, of rows
SELECT (ps_partkey, ps_suppkey) IN (SELECT p_partkey, p_size FROM part) AS known FROM partsupp

-- name: a correlated IN
SELECT ps_partkey FROM partsupp WHERE ps_suppkey IN (SELECT s_suppkey FROM supplier WHERE s_acctbal > ps_supplycost)

-- name: EXISTS
SELECT o_orderkey FROM orders WHERE EXISTS (SELECT 1 FROM lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)

-- name: a comparison with all of a query
SELECT c_name FROM customer WHERE c_acctbal > ALL (SELECT s_acctbal FROM supplier)

-- name: a scalar subquery
SELECT c_name FROM customer WHERE c_acctbal > (SELECT avg(s_acctbal) FROM supplier)

-- name: a scalar subquery of an aggregate, correlated
SELECT c_name, (SELECT max(o_totalprice) FROM orders WHERE o_custkey = c_custkey) AS largest FROM customer

-- name: a scalar subquery that may have two rows, correlated
SELECT c_name, (SELECT o_clerk FROM orders WHERE o_custkey = c_custkey) AS clerk FROM customer

-- name: a lateral join
SELECT n_name, top.c_name FROM nation, LATERAL (SELECT c_name FROM customer WHERE c_nationkey = n_nationkey ORDER BY c_acctbal DESC LIMIT 3) AS top

-- name: distinct
SELECT DISTINCT l_shipmode, year(l_shipdate) AS y FROM lineitem ORDER BY y, l_shipmode

-- name: the first row of each
SELECT DISTINCT ON (o_custkey) o_custkey, o_orderkey FROM orders ORDER BY o_custkey, o_orderdate DESC

-- name: windows
SELECT o_orderkey, rank() OVER (PARTITION BY o_custkey ORDER BY o_totalprice DESC), lag(o_totalprice, 2, 0) OVER (ORDER BY o_orderkey), sum(o_totalprice) OVER (ORDER BY o_orderdate RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM orders

-- name: a window over groups
SELECT o_custkey, sum(o_totalprice) AS total, rank() OVER (ORDER BY sum(o_totalprice) DESC) FROM orders GROUP BY o_custkey

-- name: a filter over a window
SELECT * FROM (SELECT o_custkey, o_orderkey, row_number() OVER (PARTITION BY o_custkey ORDER BY o_orderdate) AS n FROM orders) WHERE n = 1

-- name: unnest
SELECT o_orderkey, unnest([o_custkey, o_orderkey]) AS key FROM orders

-- name: unnest in FROM
SELECT o_orderkey, key FROM orders, unnest([o_custkey, o_orderkey]) AS t(key) WHERE key > 7

-- name: set operations
SELECT n_name FROM nation UNION SELECT r_name FROM region EXCEPT SELECT c_name FROM customer ORDER BY 1 LIMIT 5

-- name: a WITH that is used twice
WITH sold AS (SELECT l_suppkey, sum(l_quantity) AS q FROM lineitem GROUP BY l_suppkey) SELECT l_suppkey FROM sold WHERE q = (SELECT max(q) FROM sold)

-- name: values
SELECT n_name, label FROM nation JOIN (VALUES (1, 'one'), (2, NULL)) AS v(k, label) ON n_regionkey = k

-- name: lambdas and nested values
SELECT list_transform([o_orderkey, 2], lambda x: x + o_custkey) AS l, {'a': o_orderkey, 'b': [o_clerk]} AS s FROM orders

-- name: output names that hide columns
SELECT l_tax AS l_discount, l_discount AS l_tax, -l_quantity AS l_quantity FROM lineitem ORDER BY l_tax, lineitem.l_tax, l_quantity

-- name: nothing to read from
SELECT 1 + 1 AS two

-- name: refused, a value that differs from call to call
SELECT o_orderkey, random() FROM orders

-- name: refused, a sample
SELECT o_orderkey FROM orders USING SAMPLE 10

-- name: refused, a recursive WITH
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n, count(*) FROM r JOIN nation ON n_nationkey = n GROUP BY n

-- name: refused, ASOF and positional joins
SELECT * FROM orders ASOF JOIN lineitem ON o_orderdate >= l_shipdate

-- name: refused, a computed limit
SELECT n_name FROM nation LIMIT (SELECT count(*) FROM region)

-- name: refused, a limit in per cent
SELECT n_name FROM nation LIMIT 10%

-- name: refused, a table function that is not known
SELECT * FROM nation, repeat(1, 3)

-- name: refused, a collation
SELECT n_name FROM nation ORDER BY n_name COLLATE nocase
