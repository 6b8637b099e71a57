import t from 'tap'
import { ClusterSimulation } from './cluster-simulation.ts'
import { firstSeed, SEEDS } from './seeds.ts'

// In a file of its own, so that two cores share the seeds.
t.test('whatever breaks, one leads, the past is fenced, and the cluster heals', async (t) => {
  for (let seed = firstSeed + SEEDS / 2; seed < firstSeed + SEEDS; seed++) {
    const { violations } = await new ClusterSimulation(seed).run()
    for (const violation of violations) t.fail(`seed ${seed}: ${violation}`)
  }
  t.pass(`seeds from ${firstSeed + SEEDS / 2}`)
})
