export interface BenchQuery {
  readonly name: string
  readonly sql: string
}

/** Queries over the sample tables in the shapes of TPC-H's twenty-two: what a planner for analysis has to cope with. */
export const SHAPES: readonly BenchQuery[] = [
  {
    name: 'one scan, many aggregates',
    sql: `SELECT l_returnflag, l_linestatus, sum(l_quantity) AS quantity, sum(l_extendedprice) AS price,
      sum(l_extendedprice * (1 - l_discount)) AS discounted, sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) AS charge,
      avg(l_quantity) AS avg_quantity, avg(l_extendedprice) AS avg_price, avg(l_discount) AS avg_discount, count(*) AS lines
      FROM lineitem WHERE l_shipdate <= DATE '1998-12-01' - INTERVAL 75 DAY
      GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus`,
  },
  {
    name: 'correlated minimum',
    sql: `SELECT s_acctbal, s_name, n_name, p_partkey, p_mfgr, s_address, s_phone
      FROM part, supplier, partsupp, nation, region
      WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND p_size = 21 AND p_type LIKE '%TIN'
        AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'ASIA'
        AND ps_supplycost = (SELECT min(ps_supplycost) FROM partsupp, supplier, nation, region
          WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND s_nationkey = n_nationkey
            AND n_regionkey = r_regionkey AND r_name = 'ASIA')
      ORDER BY s_acctbal DESC, n_name, s_name, p_partkey LIMIT 100`,
  },
  {
    name: 'three-way join, top ten',
    sql: `SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority
      FROM customer, orders, lineitem
      WHERE c_mktsegment = 'MACHINERY' AND c_custkey = o_custkey AND l_orderkey = o_orderkey
        AND o_orderdate < DATE '1995-03-20' AND l_shipdate > DATE '1995-03-20'
      GROUP BY l_orderkey, o_orderdate, o_shippriority ORDER BY revenue DESC, o_orderdate LIMIT 10`,
  },
  {
    name: 'exists',
    sql: `SELECT o_orderpriority, count(*) AS orders FROM orders
      WHERE o_orderdate >= DATE '1994-04-01' AND o_orderdate < DATE '1994-07-01'
        AND EXISTS (SELECT * FROM lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)
      GROUP BY o_orderpriority ORDER BY o_orderpriority`,
  },
  {
    name: 'six-way join',
    sql: `SELECT n_name, sum(l_extendedprice * (1 - l_discount)) AS revenue
      FROM customer, orders, lineitem, supplier, nation, region
      WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND l_suppkey = s_suppkey AND c_nationkey = s_nationkey
        AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'AMERICA'
        AND o_orderdate >= DATE '1995-01-01' AND o_orderdate < DATE '1996-01-01'
      GROUP BY n_name ORDER BY revenue DESC`,
  },
  {
    name: 'selective scan',
    sql: `SELECT sum(l_extendedprice * l_discount) AS revenue FROM lineitem
      WHERE l_shipdate >= DATE '1995-01-01' AND l_shipdate < DATE '1996-01-01'
        AND l_discount BETWEEN 0.04 AND 0.06 AND l_quantity < 25`,
  },
  {
    name: 'one table twice',
    sql: `SELECT supplier_nation, customer_nation, shipped, sum(volume) AS revenue
      FROM (SELECT n1.n_name AS supplier_nation, n2.n_name AS customer_nation, extract(year FROM l_shipdate) AS shipped,
              l_extendedprice * (1 - l_discount) AS volume
            FROM supplier, lineitem, orders, customer, nation n1, nation n2
            WHERE s_suppkey = l_suppkey AND o_orderkey = l_orderkey AND c_custkey = o_custkey
              AND s_nationkey = n1.n_nationkey AND c_nationkey = n2.n_nationkey
              AND ((n1.n_name = 'KENYA' AND n2.n_name = 'PERU') OR (n1.n_name = 'PERU' AND n2.n_name = 'KENYA'))
              AND l_shipdate BETWEEN DATE '1995-01-01' AND DATE '1996-12-31') AS shipping
      GROUP BY supplier_nation, customer_nation, shipped ORDER BY supplier_nation, customer_nation, shipped`,
  },
  {
    name: 'eight-way join, share',
    sql: `SELECT ordered, sum(CASE WHEN nation = 'BRAZIL' THEN volume ELSE 0 END) / sum(volume) AS share
      FROM (SELECT extract(year FROM o_orderdate) AS ordered, l_extendedprice * (1 - l_discount) AS volume, n2.n_name AS nation
            FROM part, supplier, lineitem, orders, customer, nation n1, nation n2, region
            WHERE p_partkey = l_partkey AND s_suppkey = l_suppkey AND l_orderkey = o_orderkey AND o_custkey = c_custkey
              AND c_nationkey = n1.n_nationkey AND n1.n_regionkey = r_regionkey AND r_name = 'AMERICA'
              AND s_nationkey = n2.n_nationkey AND o_orderdate BETWEEN DATE '1995-01-01' AND DATE '1996-12-31'
              AND p_type = 'SMALL PLATED COPPER') AS nations
      GROUP BY ordered ORDER BY ordered`,
  },
  {
    name: 'join on two columns',
    sql: `SELECT nation, ordered, sum(amount) AS profit
      FROM (SELECT n_name AS nation, extract(year FROM o_orderdate) AS ordered,
              l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity AS amount
            FROM part, supplier, lineitem, partsupp, orders, nation
            WHERE s_suppkey = l_suppkey AND ps_suppkey = l_suppkey AND ps_partkey = l_partkey AND p_partkey = l_partkey
              AND o_orderkey = l_orderkey AND s_nationkey = n_nationkey AND p_name LIKE '%orchid%') AS profits
      GROUP BY nation, ordered ORDER BY nation, ordered DESC`,
  },
  {
    name: 'many group columns',
    sql: `SELECT c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) AS revenue, c_acctbal, n_name, c_address, c_phone, c_comment
      FROM customer, orders, lineitem, nation
      WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate >= DATE '1994-01-01'
        AND o_orderdate < DATE '1994-04-01' AND l_returnflag = 'R' AND c_nationkey = n_nationkey
      GROUP BY c_custkey, c_name, c_acctbal, c_phone, n_name, c_address, c_comment ORDER BY revenue DESC LIMIT 20`,
  },
  {
    name: 'having over a scalar query',
    sql: `SELECT ps_partkey, sum(ps_supplycost * ps_availqty) AS value FROM partsupp, supplier, nation
      WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_name = 'FRANCE' GROUP BY ps_partkey
      HAVING sum(ps_supplycost * ps_availqty) > (SELECT sum(ps_supplycost * ps_availqty) * 0.0001
        FROM partsupp, supplier, nation WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_name = 'FRANCE')
      ORDER BY value DESC`,
  },
  {
    name: 'conditional counts',
    sql: `SELECT l_shipmode,
        sum(CASE WHEN o_orderpriority = '1-URGENT' OR o_orderpriority = '2-HIGH' THEN 1 ELSE 0 END) AS high,
        sum(CASE WHEN o_orderpriority <> '1-URGENT' AND o_orderpriority <> '2-HIGH' THEN 1 ELSE 0 END) AS low
      FROM orders, lineitem
      WHERE o_orderkey = l_orderkey AND l_shipmode IN ('RAIL', 'FOB') AND l_commitdate < l_receiptdate
        AND l_shipdate < l_commitdate AND l_receiptdate >= DATE '1995-01-01' AND l_receiptdate < DATE '1996-01-01'
      GROUP BY l_shipmode ORDER BY l_shipmode`,
  },
  {
    name: 'outer join, counts of counts',
    sql: `SELECT orders, count(*) AS customers
      FROM (SELECT c_custkey, count(o_orderkey) AS orders FROM customer LEFT JOIN orders
            ON c_custkey = o_custkey AND o_comment NOT LIKE '%pending%accounts%' GROUP BY c_custkey) AS counted
      GROUP BY orders ORDER BY customers DESC, orders DESC`,
  },
  {
    name: 'share of a join',
    sql: `SELECT 100.00 * sum(CASE WHEN p_type LIKE 'ECONOMY%' THEN l_extendedprice * (1 - l_discount) ELSE 0 END)
        / sum(l_extendedprice * (1 - l_discount)) AS share
      FROM lineitem, part WHERE l_partkey = p_partkey AND l_shipdate >= DATE '1996-03-01' AND l_shipdate < DATE '1996-04-01'`,
  },
  {
    name: 'common table expression, maximum',
    sql: `WITH revenue AS (SELECT l_suppkey AS supplier_no, sum(l_extendedprice * (1 - l_discount)) AS total
        FROM lineitem WHERE l_shipdate >= DATE '1997-02-01' AND l_shipdate < DATE '1997-05-01' GROUP BY l_suppkey)
      SELECT s_suppkey, s_name, s_address, s_phone, total FROM supplier, revenue
      WHERE s_suppkey = supplier_no AND total = (SELECT max(total) FROM revenue) ORDER BY s_suppkey`,
  },
  {
    name: 'not in, distinct count',
    sql: `SELECT p_brand, p_type, p_size, count(DISTINCT ps_suppkey) AS suppliers FROM partsupp, part
      WHERE p_partkey = ps_partkey AND p_brand <> 'Brand#31' AND p_type NOT LIKE 'LARGE BRUSHED%'
        AND p_size IN (3, 8, 15, 22, 29, 36, 41, 47)
        AND ps_suppkey NOT IN (SELECT s_suppkey FROM supplier WHERE s_comment LIKE '%Customer%Complaints%')
      GROUP BY p_brand, p_type, p_size ORDER BY suppliers DESC, p_brand, p_type, p_size`,
  },
  {
    name: 'correlated average',
    sql: `SELECT sum(l_extendedprice) / 7.0 AS yearly FROM lineitem, part
      WHERE p_partkey = l_partkey AND p_brand = 'Brand#42' AND p_container = 'LG CASE'
        AND l_quantity < (SELECT 0.2 * avg(l_quantity) FROM lineitem WHERE l_partkey = p_partkey)`,
  },
  {
    name: 'in over groups',
    sql: `SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, sum(l_quantity) AS quantity
      FROM customer, orders, lineitem
      WHERE o_orderkey IN (SELECT l_orderkey FROM lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 305)
        AND c_custkey = o_custkey AND o_orderkey = l_orderkey
      GROUP BY c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice ORDER BY o_totalprice DESC, o_orderdate LIMIT 100`,
  },
  {
    name: 'alternatives over two tables',
    sql: `SELECT sum(l_extendedprice * (1 - l_discount)) AS revenue FROM lineitem, part
      WHERE p_partkey = l_partkey AND l_shipmode IN ('AIR', 'REG AIR') AND l_shipinstruct = 'DELIVER IN PERSON'
        AND ((p_brand = 'Brand#14' AND p_container IN ('SM CASE', 'SM BOX') AND l_quantity BETWEEN 3 AND 13 AND p_size BETWEEN 1 AND 5)
          OR (p_brand = 'Brand#25' AND p_container IN ('MED BAG', 'MED BOX') AND l_quantity BETWEEN 11 AND 21 AND p_size BETWEEN 1 AND 10)
          OR (p_brand = 'Brand#53' AND p_container IN ('LG CASE', 'LG BOX') AND l_quantity BETWEEN 22 AND 32 AND p_size BETWEEN 1 AND 15))`,
  },
  {
    name: 'nested in, correlated sum',
    sql: `SELECT s_name, s_address FROM supplier, nation
      WHERE s_suppkey IN (SELECT ps_suppkey FROM partsupp
          WHERE ps_partkey IN (SELECT p_partkey FROM part WHERE p_name LIKE 'plum%')
            AND ps_availqty > (SELECT 0.5 * sum(l_quantity) FROM lineitem WHERE l_partkey = ps_partkey AND l_suppkey = ps_suppkey
              AND l_shipdate >= DATE '1995-01-01' AND l_shipdate < DATE '1996-01-01'))
        AND s_nationkey = n_nationkey AND n_name = 'JAPAN' ORDER BY s_name`,
  },
  {
    name: 'exists and not exists',
    sql: `SELECT s_name, count(*) AS waiting FROM supplier, lineitem l1, orders, nation
      WHERE s_suppkey = l1.l_suppkey AND o_orderkey = l1.l_orderkey AND o_orderstatus = 'F' AND l1.l_receiptdate > l1.l_commitdate
        AND EXISTS (SELECT * FROM lineitem l2 WHERE l2.l_orderkey = l1.l_orderkey AND l2.l_suppkey <> l1.l_suppkey)
        AND NOT EXISTS (SELECT * FROM lineitem l3 WHERE l3.l_orderkey = l1.l_orderkey AND l3.l_suppkey <> l1.l_suppkey
          AND l3.l_receiptdate > l3.l_commitdate)
        AND s_nationkey = n_nationkey AND n_name = 'EGYPT'
      GROUP BY s_name ORDER BY waiting DESC, s_name LIMIT 100`,
  },
  {
    name: 'anti join by text',
    sql: `SELECT country, count(*) AS customers, sum(c_acctbal) AS balance
      FROM (SELECT substring(c_phone, 1, 2) AS country, c_acctbal FROM customer
            WHERE substring(c_phone, 1, 2) IN ('11', '15', '19', '24', '28', '31', '33')
              AND c_acctbal > (SELECT avg(c_acctbal) FROM customer WHERE c_acctbal > 0.00
                AND substring(c_phone, 1, 2) IN ('11', '15', '19', '24', '28', '31', '33'))
              AND NOT EXISTS (SELECT * FROM orders WHERE o_custkey = c_custkey)) AS dormant
      GROUP BY country ORDER BY country`,
  },
]
