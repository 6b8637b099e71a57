-- name: windows by a key are in buckets by it
SELECT l_orderkey, l_linenumber, row_number() OVER (PARTITION BY l_orderkey ORDER BY l_linenumber) FROM lineitem

-- name: windows by several keys are in buckets by what they share
SELECT l_orderkey, sum(l_tax) OVER (PARTITION BY l_suppkey, l_shipmode), max(l_tax) OVER (PARTITION BY l_suppkey) FROM lineitem

-- name: windows that share no key are made by one task
SELECT s_suppkey, rank() OVER (PARTITION BY s_nationkey ORDER BY s_acctbal), rank() OVER (PARTITION BY s_name ORDER BY s_acctbal) FROM supplier

-- name: a window without keys is made by one task
SELECT s_suppkey, sum(s_acctbal) OVER (ORDER BY s_suppkey) FROM supplier

-- name: a window over groups
SELECT l_shipmode, rank() OVER (ORDER BY sum(l_tax) DESC) FROM lineitem GROUP BY l_shipmode

-- name: a window after a join by its key needs no exchange
SELECT o_orderkey, l_linenumber, sum(l_quantity) OVER (PARTITION BY o_orderkey) FROM orders JOIN lineitem ON o_orderkey = l_orderkey

-- name: qualify is a filter over windows
SELECT l_orderkey, l_tax FROM lineitem QUALIFY row_number() OVER (PARTITION BY l_orderkey ORDER BY l_tax DESC) = 1

-- name: partitions of a window that no two files share are whole in every task
SELECT id, rank() OVER (PARTITION BY id ORDER BY happened) AS r FROM events
