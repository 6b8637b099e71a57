import t from 'tap'
import { FILE_BYTES_DEFAULT, FILE_BYTES_MAX, FILE_BYTES_MIN, targetFileBytes } from './file-size.ts'

t.test('files are as large as the table says, within reason', async (t) => {
  const of = (size: string): number => targetFileBytes({ 'write.target-file-size-bytes': size })
  t.equal(of('1000000'), 1_000_000)
  t.equal(of('1'), FILE_BYTES_MIN)
  t.equal(of('999999999999999'), FILE_BYTES_MAX)
  for (const wrong of ['', '-1', '1e9', '512 MB']) t.equal(of(wrong), FILE_BYTES_DEFAULT, wrong)
  t.equal(targetFileBytes({}), FILE_BYTES_DEFAULT)
  t.equal(targetFileBytes(undefined), FILE_BYTES_DEFAULT)
})
