-- name: few distinct rows are gathered
SELECT DISTINCT l_shipmode, l_returnflag FROM lineitem

-- name: many distinct rows are in buckets
SELECT DISTINCT l_partkey, l_suppkey FROM lineitem

-- name: first rows of what is distinct
SELECT DISTINCT l_shipmode AS m, l_tax FROM lineitem ORDER BY m DESC, 2 LIMIT 3

-- name: distinct of what is in buckets needs no exchange
SELECT DISTINCT l_orderkey, o_custkey FROM lineitem JOIN orders ON l_orderkey = o_orderkey

-- name: distinct on brings its keys together
SELECT DISTINCT ON (l_suppkey) l_suppkey, l_tax, l_comment FROM lineitem ORDER BY l_suppkey, l_shipdate DESC

-- name: any row for each value
SELECT DISTINCT ON (l_shipmode) l_shipmode, l_orderkey FROM lineitem
