-- name: five tables with the most selective joined first
SELECT c_name, p_name, s_name FROM lineitem, orders, customer, part, supplier
WHERE l_orderkey = o_orderkey AND o_custkey = c_custkey AND l_partkey = p_partkey AND l_suppkey = s_suppkey
  AND p_brand = 'Brand#12' AND p_container = 'JUMBO BAG' AND p_size = 7

-- name: the order of the text does not matter
SELECT c_name, p_name, s_name FROM supplier JOIN (part JOIN (customer JOIN (orders JOIN lineitem ON l_orderkey = o_orderkey) ON o_custkey = c_custkey) ON l_partkey = p_partkey) ON l_suppkey = s_suppkey
WHERE p_brand = 'Brand#12' AND p_container = 'JUMBO BAG' AND p_size = 7

-- name: equal columns may be joined in any order
SELECT count(*) FROM lineitem, partsupp, part WHERE l_partkey = ps_partkey AND ps_partkey = p_partkey AND l_suppkey = ps_suppkey AND p_size = 1

-- name: small tables that nothing ties are multiplied last
SELECT count(*) FROM orders, region, customer WHERE o_custkey = c_custkey AND r_name = 'ASIA'

-- name: an outer join is a boundary
SELECT count(*) FROM customer JOIN nation ON c_nationkey = n_nationkey LEFT JOIN orders ON o_custkey = c_custkey JOIN region ON n_regionkey = r_regionkey WHERE r_name = 'ASIA'

-- name: six tables in a chain
SELECT r_name, count(*) FROM region, nation, supplier, partsupp, part, lineitem
WHERE r_regionkey = n_regionkey AND n_nationkey = s_nationkey AND s_suppkey = ps_suppkey AND ps_partkey = p_partkey AND l_partkey = ps_partkey AND l_suppkey = ps_suppkey
  AND p_type = 'ECONOMY ANODIZED STEEL' GROUP BY r_name

-- name: a semi join before the join that it makes smaller
SELECT o_orderkey, l_tax FROM orders JOIN lineitem ON o_orderkey = l_orderkey WHERE o_orderkey IN (SELECT l_orderkey FROM lineitem GROUP BY 1 HAVING sum(l_quantity) > 300)
