-- name: an inner join with a table of a few rows has it read by every task
SELECT n_name, s_name FROM supplier JOIN nation ON s_nationkey = n_nationkey

-- name: an inner join with small tables has them in every task
SELECT n_name, count(*) FROM lineitem JOIN supplier ON l_suppkey = s_suppkey JOIN nation ON s_nationkey = n_nationkey GROUP BY n_name

-- name: a filtered side that is small is written once for every task
SELECT l_orderkey, p_name FROM lineitem JOIN part ON l_partkey = p_partkey WHERE p_brand = 'Brand#12' AND p_container = 'JUMBO BAG'

-- name: two large sides are joined in buckets
SELECT l_orderkey, l_linenumber, o_orderpriority FROM lineitem JOIN orders ON l_orderkey = o_orderkey

-- name: a left join in buckets
SELECT o_orderkey, l_linenumber FROM orders LEFT JOIN lineitem ON o_orderkey = l_orderkey

-- name: a right join is a left join of the other side
SELECT o_orderkey, l_linenumber FROM orders RIGHT JOIN lineitem ON o_orderkey = l_orderkey

-- name: a full join is in buckets
SELECT o_orderkey, l_linenumber FROM orders FULL JOIN lineitem ON o_orderkey = l_orderkey

-- name: a full join with a small side is in buckets too
SELECT c_custkey, n_name FROM customer FULL JOIN nation ON c_nationkey = n_nationkey

-- name: a left join with a small right side has it in every task
SELECT l_orderkey, s_name FROM lineitem LEFT JOIN supplier ON l_suppkey = s_suppkey

-- name: a left join with a small left side is in buckets
SELECT s_name, l_orderkey FROM supplier LEFT JOIN lineitem ON l_suppkey = s_suppkey

-- name: a semi join
SELECT o_orderkey FROM orders SEMI JOIN lineitem ON o_orderkey = l_orderkey

-- name: an anti join
SELECT c_custkey FROM customer ANTI JOIN orders ON o_custkey = c_custkey

-- name: a cross join has the smaller side in every task
SELECT count(*) FROM supplier, nation WHERE s_acctbal > n_nationkey * 100

-- name: a join of two types is by their common type
SELECT count(*) FROM customer JOIN lineitem ON c_nationkey = l_suppkey

-- name: a null-safe join is in buckets, null with null
SELECT count(*) FROM clicks a JOIN clicks b ON a.user_id IS NOT DISTINCT FROM b.user_id AND a.page = b.page

-- name: a join without equality has the smaller side in every task
SELECT count(*) FROM lineitem JOIN supplier ON l_tax > s_acctbal

-- name: a full join without equality is made by one task
SELECT count(*) FROM supplier FULL JOIN nation ON s_nationkey < n_nationkey

-- name: a join by an equality and a range is in buckets by the equality
SELECT count(*) FROM lineitem JOIN orders ON l_orderkey = o_orderkey AND l_shipdate > o_orderdate

-- name: the side that is in buckets stays and the other goes to them
SELECT o_orderkey, n, o_clerk FROM orders JOIN (SELECT l_orderkey, count(DISTINCT l_suppkey) AS n FROM lineitem GROUP BY l_orderkey) AS q ON o_orderkey = l_orderkey

-- name: two aggregations by the same key are joined where they are
SELECT a.k, a.n, b.m FROM (SELECT l_partkey AS k, sum(l_tax) AS n FROM lineitem GROUP BY 1) AS a JOIN (SELECT ps_partkey AS k, sum(ps_availqty) AS m FROM partsupp GROUP BY 1) AS b ON a.k = b.k

-- name: three tables by one key are brought together once
SELECT o_orderkey, count(*) FROM orders JOIN lineitem a ON a.l_orderkey = o_orderkey JOIN lineitem b ON b.l_orderkey = o_orderkey GROUP BY o_orderkey

-- name: a group by the join key needs no other exchange
SELECT l_orderkey, o_orderdate, sum(l_tax) FROM lineitem JOIN orders ON l_orderkey = o_orderkey GROUP BY l_orderkey, o_orderdate

-- name: a skewed key can be cut on the left of a join
SELECT a.click_id, b.seconds FROM clicks a JOIN clicks b ON a.page = b.page AND a.user_id = b.user_id

-- name: the size of a table without statistics is what its files say
SELECT driver, c_name FROM trips JOIN customer ON driver = c_custkey

-- name: tables that lie in the order of a key are joined where they lie
SELECT a.level, count(*) FROM events AS a JOIN events AS b ON a.id = b.id WHERE b.body LIKE '%late%' GROUP BY a.level

-- name: rows that an outer join fills with NULLs are no groups of a task
SELECT b.id, count(*) FROM events AS a LEFT JOIN events AS b ON a.id = b.id GROUP BY b.id

-- name: columns of two types do not lie together
SELECT count(*) FROM events AS a JOIN events AS b ON a.id = b.level
