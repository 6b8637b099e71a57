import type { CorpusQuery } from './corpus.ts'

/**
 * Twenty-two decision-support queries over a wholesaler's tables (customers, orders, order lines, parts,
 * suppliers, stock, nations, regions): the shapes an analyst's benchmark has, in words of our own.
 */
const QUERIES: Readonly<Record<string, string>> = {
  pricingSummary: `
    select l_returnflag, l_linestatus, sum(l_quantity) as quantity, sum(l_extendedprice) as base,
      sum(l_extendedprice * (1 - l_discount)) as discounted,
      sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) as charged,
      avg(l_quantity) as avg_quantity, avg(l_discount) as avg_discount, count(*) as lines
    from lineitem where l_shipdate <= date '1998-12-01' - interval '90' day
    group by l_returnflag, l_linestatus order by l_returnflag, l_linestatus`,
  cheapestSupplier: `
    select s_acctbal, s_name, n_name, p_partkey, p_mfgr from part, supplier, partsupp, nation, region
    where p_partkey = ps_partkey and s_suppkey = ps_suppkey and p_size = 15 and p_type like '%BRASS'
      and s_nationkey = n_nationkey and n_regionkey = r_regionkey and r_name = 'EUROPE'
      and ps_supplycost = (select min(ps_supplycost) from partsupp, supplier, nation, region
        where p_partkey = ps_partkey and s_suppkey = ps_suppkey and s_nationkey = n_nationkey
          and n_regionkey = r_regionkey and r_name = 'EUROPE')
    order by s_acctbal desc, n_name, s_name, p_partkey limit 100`,
  unshippedOrders: `
    select l_orderkey, sum(l_extendedprice * (1 - l_discount)) as revenue, o_orderdate, o_shippriority
    from customer join orders on c_custkey = o_custkey join lineitem on l_orderkey = o_orderkey
    where c_mktsegment = 'BUILDING' and o_orderdate < date '1995-03-15' and l_shipdate > date '1995-03-15'
    group by l_orderkey, o_orderdate, o_shippriority order by revenue desc, o_orderdate limit 10`,
  lateOrdersByPriority: `
    select o_orderpriority, count(*) as late from orders
    where o_orderdate >= date '1993-07-01' and o_orderdate < date '1993-07-01' + interval '3' month
      and exists (select * from lineitem where l_orderkey = o_orderkey and l_commitdate < l_receiptdate)
    group by o_orderpriority order by o_orderpriority`,
  localRevenue: `
    select n_name, sum(l_extendedprice * (1 - l_discount)) as revenue
    from customer, orders, lineitem, supplier, nation, region
    where c_custkey = o_custkey and l_orderkey = o_orderkey and l_suppkey = s_suppkey
      and c_nationkey = s_nationkey and s_nationkey = n_nationkey and n_regionkey = r_regionkey
      and r_name = 'ASIA' and o_orderdate >= date '1994-01-01' and o_orderdate < date '1995-01-01'
    group by n_name order by revenue desc`,
  discountForecast: `
    select sum(l_extendedprice * l_discount) as gain from lineitem
    where l_shipdate >= date '1994-01-01' and l_shipdate < date '1994-01-01' + interval 1 year
      and l_discount between .06 - 0.01 and .06 + 0.01 and l_quantity < 24`,
  tradeBetweenTwo: `
    select supp_nation, cust_nation, l_year, sum(volume) as revenue from (
      select n1.n_name as supp_nation, n2.n_name as cust_nation, extract(year from l_shipdate) as l_year,
        l_extendedprice * (1 - l_discount) as volume
      from supplier, lineitem, orders, customer, nation n1, nation n2
      where s_suppkey = l_suppkey and o_orderkey = l_orderkey and c_custkey = o_custkey
        and s_nationkey = n1.n_nationkey and c_nationkey = n2.n_nationkey
        and ((n1.n_name = 'FRANCE' and n2.n_name = 'GERMANY') or (n1.n_name = 'GERMANY' and n2.n_name = 'FRANCE'))
        and l_shipdate between date '1995-01-01' and date '1996-12-31') as shipping
    group by supp_nation, cust_nation, l_year order by 1, 2, 3`,
  marketShare: `
    select o_year, sum(case when nation = 'BRAZIL' then volume else 0 end) / sum(volume) as share from (
      select extract(year from o_orderdate) as o_year, l_extendedprice * (1 - l_discount) as volume, n2.n_name as nation
      from part join lineitem on p_partkey = l_partkey join supplier on s_suppkey = l_suppkey
        join orders on l_orderkey = o_orderkey join customer on o_custkey = c_custkey
        join nation n1 on c_nationkey = n1.n_nationkey join region on n1.n_regionkey = r_regionkey
        join nation n2 on s_nationkey = n2.n_nationkey
      where r_name = 'AMERICA' and p_type = 'ECONOMY ANODIZED STEEL') all_nations
    group by o_year order by o_year`,
  profitByNation: `
    select nation, o_year, sum(amount) as profit from (
      select n_name as nation, extract(year from o_orderdate) as o_year,
        l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity as amount
      from part, supplier, lineitem, partsupp, orders, nation
      where s_suppkey = l_suppkey and ps_suppkey = l_suppkey and ps_partkey = l_partkey and p_partkey = l_partkey
        and o_orderkey = l_orderkey and s_nationkey = n_nationkey and p_name like '%green%') as profit
    group by nation, o_year order by nation, o_year desc`,
  returnedItems: `
    select c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) as lost, c_acctbal, n_name
    from customer, orders, lineitem, nation
    where c_custkey = o_custkey and l_orderkey = o_orderkey and l_returnflag = 'R' and c_nationkey = n_nationkey
      and o_orderdate >= date '1993-10-01' and o_orderdate < date '1993-10-01' + interval '3' month
    group by 1, 2, 4, 5 order by lost desc limit 20`,
  importantStock: `
    select ps_partkey, sum(ps_supplycost * ps_availqty) as worth from partsupp, supplier, nation
    where ps_suppkey = s_suppkey and s_nationkey = n_nationkey and n_name = 'GERMANY'
    group by ps_partkey having sum(ps_supplycost * ps_availqty) > (
      select sum(ps_supplycost * ps_availqty) * 0.0001 from partsupp, supplier, nation
      where ps_suppkey = s_suppkey and s_nationkey = n_nationkey and n_name = 'GERMANY')
    order by worth desc`,
  shippingModes: `
    select l_shipmode,
      sum(case when o_orderpriority = '1-URGENT' or o_orderpriority = '2-HIGH' then 1 else 0 end) as high,
      sum(case when o_orderpriority <> '1-URGENT' and o_orderpriority <> '2-HIGH' then 1 else 0 end) as low
    from orders, lineitem where o_orderkey = l_orderkey and l_shipmode in ('MAIL', 'SHIP')
      and l_commitdate < l_receiptdate and l_shipdate < l_commitdate
    group by l_shipmode order by l_shipmode`,
  ordersPerCustomer: `
    select c_count, count(*) as custdist from (
      select c_custkey, count(o_orderkey) from customer left outer join orders
        on c_custkey = o_custkey and o_comment not like '%special%requests%'
      group by c_custkey) as c_orders (c_custkey, c_count)
    group by c_count order by custdist desc, c_count desc`,
  promotionEffect: `
    select 100.00 * sum(case when p_type like 'PROMO%' then l_extendedprice * (1 - l_discount) else 0 end)
      / sum(l_extendedprice * (1 - l_discount)) as promo
    from lineitem, part where l_partkey = p_partkey and l_shipdate >= date '1995-09-01'`,
  topSupplier: `
    with revenue (supplier_no, total) as (
      select l_suppkey, sum(l_extendedprice * (1 - l_discount)) from lineitem
      where l_shipdate >= date '1996-01-01' and l_shipdate < date '1996-01-01' + interval '3' month
      group by l_suppkey)
    select s_suppkey, s_name, total from supplier, revenue
    where s_suppkey = supplier_no and total = (select max(total) from revenue) order by s_suppkey`,
  partsWithoutComplaints: `
    select p_brand, p_type, p_size, count(distinct ps_suppkey) as suppliers from partsupp, part
    where p_partkey = ps_partkey and p_brand <> 'Brand#45' and p_type not like 'MEDIUM POLISHED%'
      and p_size in (49, 14, 23, 45, 19, 3, 36, 9)
      and ps_suppkey not in (select s_suppkey from supplier where s_comment like '%Customer%Complaints%')
    group by p_brand, p_type, p_size order by suppliers desc, 1, 2, 3`,
  smallQuantities: `
    select sum(l_extendedprice) / 7.0 as yearly from lineitem, part
    where p_partkey = l_partkey and p_brand = 'Brand#23' and p_container = 'MED BOX'
      and l_quantity < (select 0.2 * avg(l_quantity) from lineitem where l_partkey = p_partkey)`,
  largeOrders: `
    select c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, sum(l_quantity)
    from customer, orders, lineitem
    where o_orderkey in (select l_orderkey from lineitem group by l_orderkey having sum(l_quantity) > 300)
      and c_custkey = o_custkey and o_orderkey = l_orderkey
    group by c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice
    order by o_totalprice desc, o_orderdate limit 100`,
  discountedRevenue: `
    select sum(l_extendedprice * (1 - l_discount)) as revenue from lineitem, part
    where (p_partkey = l_partkey and p_brand = 'Brand#12' and p_container in ('SM CASE', 'SM BOX')
        and l_quantity >= 1 and l_quantity <= 1 + 10 and p_size between 1 and 5)
      or (p_partkey = l_partkey and p_brand = 'Brand#23' and p_container in ('MED BAG', 'MED BOX')
        and l_quantity >= 10 and l_quantity <= 10 + 10 and p_size between 1 and 10)`,
  surplusSuppliers: `
    select s_name, s_address from supplier, nation
    where s_suppkey in (select ps_suppkey from partsupp
        where ps_partkey in (select p_partkey from part where p_name like 'forest%')
          and ps_availqty > (select 0.5 * sum(l_quantity) from lineitem
            where l_partkey = ps_partkey and l_suppkey = ps_suppkey and l_shipdate >= date '1994-01-01'))
      and s_nationkey = n_nationkey and n_name = 'CANADA' order by s_name`,
  waitingSuppliers: `
    select s_name, count(*) as waits from supplier, lineitem l1, orders, nation
    where s_suppkey = l1.l_suppkey and o_orderkey = l1.l_orderkey and o_orderstatus = 'F'
      and l1.l_receiptdate > l1.l_commitdate
      and exists (select * from lineitem l2 where l2.l_orderkey = l1.l_orderkey and l2.l_suppkey <> l1.l_suppkey)
      and not exists (select * from lineitem l3 where l3.l_orderkey = l1.l_orderkey
        and l3.l_suppkey <> l1.l_suppkey and l3.l_receiptdate > l3.l_commitdate)
      and s_nationkey = n_nationkey and n_name = 'SAUDI ARABIA'
    group by s_name order by waits desc, s_name limit 100`,
  sleepingCustomers: `
    select cntrycode, count(*) as customers, sum(c_acctbal) as balance from (
      select substring(c_phone from 1 for 2) as cntrycode, c_acctbal from customer
      where substring(c_phone from 1 for 2) in ('13', '31', '23', '29', '30', '18', '17')
        and c_acctbal > (select avg(c_acctbal) from customer where c_acctbal > 0.00)
        and not exists (select * from orders where o_custkey = c_custkey)) as sleeping
    group by cntrycode order by cntrycode`,
}

export const SALES_QUERIES: readonly CorpusQuery[] = Object.entries(QUERIES).map(([name, sql]) => ({
  name,
  sql,
}))
