-- name: without keys one row of each part is merged
SELECT count(*), sum(l_quantity), avg(l_tax), min(l_shipdate), max(l_comment), bool_and(l_tax > 0) FROM lineitem

-- name: few groups of each part are gathered
SELECT l_shipmode, l_returnflag, count(*), sum(l_tax) FROM lineitem GROUP BY ALL

-- name: many groups of each part are merged in buckets
SELECT l_partkey, sum(l_quantity), avg(l_tax) FROM lineitem GROUP BY l_partkey

-- name: rows are brought together where parts would leave nearly all of them
SELECT click_id, sum(seconds) FROM clicks GROUP BY click_id

-- name: keys may be ordinals, aliases and expressions
SELECT year(l_shipdate) AS y, upper(l_shipmode), l_tax + 1 AS t, count(*) FROM lineitem GROUP BY 1, upper(l_shipmode), t

-- name: equal aggregates are computed once
SELECT sum(l_tax), sum(l_tax) * 2, sum(l_tax) / count(*), avg(l_tax) FROM lineitem

-- name: filter goes into the parts
SELECT l_shipmode, count(*) FILTER (WHERE l_tax > 0.01) AS n FROM lineitem GROUP BY l_shipmode

-- name: distinct of one argument is of distinct pairs
SELECT l_shipmode, count(DISTINCT l_suppkey), sum(l_tax), count(*) FROM lineitem GROUP BY l_shipmode

-- name: distinct without keys
SELECT count(DISTINCT l_suppkey) FROM lineitem

-- name: distinct of several arguments needs all rows of a group
SELECT l_shipmode, count(DISTINCT l_suppkey), count(DISTINCT l_partkey) FROM lineitem GROUP BY l_shipmode

-- name: min and max of distinct values are min and max
SELECT min(DISTINCT l_tax), max(DISTINCT l_tax) FROM lineitem

-- name: grouping sets are groups with the number of their set
SELECT l_shipmode, l_returnflag, count(*), GROUPING(l_shipmode, l_returnflag) FROM lineitem GROUP BY GROUPING SETS ((l_shipmode), (l_returnflag), ())

-- name: rollup has its totals merged too
SELECT l_shipmode, l_returnflag, sum(l_tax) FROM lineitem GROUP BY ROLLUP (l_shipmode, l_returnflag)

-- name: cube of many keys is merged in buckets
SELECT l_partkey, l_shipmode, count(*) FROM lineitem GROUP BY CUBE (l_partkey, l_shipmode)

-- name: rollup with distinct needs all rows
SELECT l_shipmode, count(DISTINCT l_suppkey) FROM lineitem GROUP BY ROLLUP (l_shipmode)

-- name: an ordered aggregate needs all rows of a group
SELECT l_orderkey, string_agg(l_shipmode, ',' ORDER BY l_linenumber) FROM lineitem GROUP BY l_orderkey

-- name: an ordered aggregate without keys is made by one task
SELECT string_agg(n_name, ',' ORDER BY s_name) FROM supplier JOIN nation ON s_nationkey = n_nationkey

-- name: a holistic aggregate needs all rows of a group
SELECT l_suppkey, median(l_tax), quantile_cont(l_quantity, 0.9) FROM lineitem GROUP BY l_suppkey

-- name: an average that is no number needs all rows
SELECT avg(l_shipdate) FROM lineitem

-- name: an aggregate of groups is an aggregate of what was merged
SELECT max(total) FROM yearly

-- name: first rows by an aggregate
SELECT l_suppkey, sum(l_tax) AS s FROM lineitem GROUP BY l_suppkey ORDER BY s DESC NULLS LAST, l_suppkey LIMIT 5 OFFSET 2

-- name: names that look like ours do no harm
SELECT l_shipmode AS key_1, l_returnflag AS key_0, sum(l_tax) AS value_0 FROM lineitem GROUP BY l_shipmode, l_returnflag ORDER BY key_0, key_1

-- name: groups by a column that no two files share values of are whole in every task
SELECT id, count(*), max(level) AS worst FROM events GROUP BY id HAVING count(*) > 1

-- name: so are those of a column that row groups share values of with the next alone
SELECT happened, count(*) FROM events JOIN nation ON n_nationkey = level WHERE n_name = 'KENYA' GROUP BY happened, n_name ORDER BY 2 DESC LIMIT 10

-- name: four partitions are too few for twelve tasks
SELECT day, count(DISTINCT driver), median(fare) FROM trips GROUP BY day

-- name: groups by what is computed of such a column are not
SELECT id % 10, median(level) FROM events GROUP BY 1
