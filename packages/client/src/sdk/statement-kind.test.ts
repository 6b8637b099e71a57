import t from 'tap'
import { statementKind } from './statement-kind.ts'

const CASES: readonly (readonly [string, string])[] = [
  ['select 1', 'read'],
  ['  -- a comment\n /* and\n another */ SELECT 1', 'read'],
  ['(select 1) union (select 2)', 'read'],
  ['values (1)', 'read'],
  ['from t', 'read'],
  ['show tables', 'read'],
  ['describe t', 'read'],
  ['with a as (select 1) select * from a', 'read'],
  ['explain select 1', 'read'],
  ['with a as (select 1) insert into t select * from a', 'once'],
  ['explain analyze delete from t', 'write'],
  ['insert into t values (1)', 'once'],
  ['/* x */ INSERT overwrite t select 1', 'once'],
  ['create  table t (a int)', 'once'],
  ['create external table t (a int)', 'once'],
  ['create or replace view v as select 1', 'once'],
  ['drop table if exists t', 'once'],
  ['drop view v', 'once'],
  ['alter table t rename to u', 'once'],
  ['refresh t', 'once'],
  ["kill query 'q1'", 'write'],
  ['truncate t', 'once'],
  ['merge into t using u on x when matched then delete', 'once'],
  ['inserted', 'write'],
  ["copy t to 'x'", 'write'],
  ['set a = 1', 'session'],
  ['USE sales', 'session'],
  ['reset all', 'session'],
  ['', 'write'],
  ['anything else', 'write'],
]

t.test('a statement is a read only where it surely changes nothing', async (t) => {
  for (const [sql, kind] of CASES) t.equal(statementKind(sql), kind, sql)
})
