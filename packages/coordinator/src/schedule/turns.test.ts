import t from 'tap'
import { inTurn, tasksOf } from './turns.ts'

const query = (name: string, tasks = 0) => ({
  name,
  session: name.slice(0, 1),
  running: () => tasks,
})
const namesOf = (queries: readonly { readonly name: string }[]): string =>
  queries.map(({ name }) => name).join(' ')

t.test(
  'who has the fewest tasks running is first, however many queries others have sent',
  async (t) => {
    const many = [query('a1', 2), query('a2', 1), query('a3'), query('a4')]
    t.equal(namesOf(inTurn([...many, query('b1')])), 'b1 a1 a2 a3 a4')
    t.equal(tasksOf(many, 'a'), 3)
    t.equal(tasksOf(many, 'b'), 0)
  },
)

t.test('sessions of equal tasks take turns, each with its oldest query first', async (t) => {
  const waiting = ['a1', 'a2', 'a3', 'b1', 'c1', 'c2'].map((name) => query(name))
  t.equal(namesOf(inTurn(waiting)), 'a1 b1 c1 a2 c2 a3')
  t.equal(namesOf(inTurn([])), '')
})
