-- name: first rows in order are first rows of each part
SELECT l_orderkey, l_comment FROM lineitem ORDER BY l_shipdate DESC, l_orderkey LIMIT 10 OFFSET 5

-- name: first rows of all columns
SELECT * FROM orders ORDER BY o_totalprice DESC LIMIT 3

-- name: first rows by an expression
SELECT o_orderkey FROM orders ORDER BY o_totalprice / 2, o_orderkey LIMIT 3

-- name: many rows in order are sorted by ranges
SELECT o_orderkey, o_totalprice FROM orders WHERE o_totalprice > 500000 ORDER BY o_totalprice

-- name: ranges are of all keys of the order
SELECT * FROM orders ORDER BY o_orderstatus DESC, o_totalprice / 2 NULLS FIRST, o_orderkey

-- name: a few rows in order are sorted by one task
SELECT o_orderpriority, count(*) FROM orders GROUP BY o_orderpriority ORDER BY o_orderpriority

-- name: order in a subquery means nothing
SELECT sum(o_totalprice) FROM (SELECT * FROM orders ORDER BY o_totalprice) AS q

-- name: a limit without order that is soon reached is not worth more than one task
SELECT l_orderkey, l_comment FROM lineitem WHERE l_tax = 0.05 LIMIT 10

-- name: a limit without order over few rows of many looks everywhere at once
SELECT l_orderkey, l_comment FROM lineitem WHERE l_comment LIKE '%ironic%deposits%' AND l_orderkey = 7 LIMIT 10

-- name: a limit without order over a join
SELECT l_orderkey, s_name FROM lineitem JOIN supplier ON l_suppkey = s_suppkey LIMIT 10

-- name: an offset without a limit is made by one task
SELECT o_orderkey FROM orders ORDER BY o_orderkey OFFSET 14999990

-- name: an aggregation over first rows
SELECT count(*) FROM (SELECT l_suppkey FROM lineitem ORDER BY l_tax LIMIT 10) AS q

-- name: a limit of a limit is the smaller one
SELECT * FROM (SELECT o_orderkey FROM orders LIMIT 100) AS q LIMIT 10

-- name: order by all
SELECT l_orderkey, l_tax FROM lineitem ORDER BY ALL LIMIT 10

-- name: order by what is not selected
SELECT l_tax AS l_discount, l_orderkey FROM lineitem ORDER BY l_discount + 1 LIMIT 10
