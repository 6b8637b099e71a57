import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isCopyCommand } from '../copy/copy-command.ts'
import { quotedName, quotedText } from '../dialect.ts'
import { FORMATS, isFormatName } from '../formats/format.ts'
import { EXIT, type ShellIo } from '../shell-io.ts'
import { statementsInTurn } from '../split-statements.ts'
import { queriesText, statusText } from '../status-command.ts'
import { textTable } from '../text-table.ts'
import { type MetaCall, metaHelp, type MetaName, type WordCommand } from './meta-commands.ts'
import { profileText, summaryText } from './profile-text.ts'
import type { ShellState } from './shell-state.ts'

/** `\watch` without a number repeats this often. */
const WATCH_SECONDS_DEFAULT = 2

/** Carries out backslash and word commands. Every method resolves with false when the shell is to end. */
export class MetaRunner {
  readonly #state: ShellState
  readonly #io: ShellIo

  constructor(state: ShellState, io: ShellIo) {
    this.#state = state
    this.#io = io
  }

  async run({ name, words, line }: MetaCall): Promise<boolean> {
    if (name === '\\q') return false
    await this.#actions()[name](words, line)
    return true
  }

  async runWord(word: WordCommand): Promise<boolean> {
    switch (word.name) {
      case 'quit':
        return false
      case 'help':
        this.#say(metaHelp())
        return true
      case 'history':
        this.#say(this.#state.lines.map((line, i) => `[${i + 1}]: ${line}\n`).join(''))
        return true
      case 'profile':
      case 'summary':
        await this.#profile(word.name)
        return true
      case 'connect':
        await this.#connect(word.target)
        return true
    }
  }

  /** One action for each command; the type sees to it that none is missing. */
  #actions(): Readonly<Record<MetaName, (words: readonly string[], line: string) => unknown>> {
    const state = this.#state
    const show =
      (sql: string) =>
      ([pattern]: readonly string[]): Promise<number> =>
        state.runSql(
          pattern === undefined ? sql : `${sql} LIKE ${quotedText(pattern, state.dialect)}`,
        )
    return {
      '\\?': () => this.#say(metaHelp()),
      '\\q': () => undefined,
      '\\d': ([table]) => state.runSql(table === undefined ? 'SHOW TABLES' : `DESCRIBE ${table}`),
      '\\dt': show('SHOW TABLES'),
      '\\dv': show('SHOW VIEWS'),
      '\\df': show('SHOW FUNCTIONS'),
      '\\dn': show('SHOW DATABASES'),
      '\\l': show('SHOW DATABASES'),
      '\\c': ([target]) => this.#connect(target),
      '\\x': ([word]) => this.#setExpanded(word),
      '\\timing': ([word]) => this.#setTiming(word),
      '\\pset': (words) => this.#formatTo(words),
      '\\o': ([file]) => this.#redirect(file),
      '\\i': ([file]) => this.#include(file),
      '\\copy': (_, line) => state.copy(line),
      '\\e': ([file]) => this.#edit(file),
      '\\g': () => this.#go(state.expanded),
      '\\gx': () => this.#go(true),
      '\\p': () => this.#say(`${state.buffer.trimEnd() || (state.last ?? '')}\n`),
      '\\r': () => state.forget(),
      '\\watch': ([seconds]) => this.#watch(seconds),
      '\\set': ([name, ...rest]) => this.#setVariable(name, rest),
      '\\unset': ([name]) => this.#unsetVariable(name),
      '\\nodes': async () => this.#say(statusText(await state.database.status())),
      '\\leader': () => this.#leader(),
      '\\queries': async () => this.#say(queriesText((await state.database.status()).queries)),
      '\\kill': ([id]) => this.#kill(id),
    }
  }

  #setExpanded(word: string | undefined): void {
    this.#state.expanded = onOff(word, this.#state.expanded)
    this.#say(`expanded display is ${this.#state.expanded ? 'on' : 'off'}\n`)
  }

  #setTiming(word: string | undefined): void {
    this.#state.timing = onOff(word, this.#state.timing)
    this.#say(`timing is ${this.#state.timing ? 'on' : 'off'}\n`)
  }

  #say(text: string): void {
    this.#io.stdout.write(text)
  }

  #complain(text: string): void {
    this.#io.stderr.write(`${text}\n`)
  }

  async #connect(target: string | undefined): Promise<void> {
    const state = this.#state
    if (target === undefined) {
      return this.#say(
        `database "${state.session.database}", coordinator ${state.database.coordinator ?? 'none'}\n`,
      )
    }
    if (target.includes(':')) {
      await state.connect(target.includes('://') ? target : `nyala://${target}`)
      return this.#say(`connected to coordinator ${state.database.coordinator ?? 'none'}\n`)
    }
    const code = await state.runSql(`USE ${quotedName(unquoted(target))}`)
    if (code === EXIT.ok) this.#say(`database is now "${state.session.database}"\n`)
  }

  #formatTo(words: readonly string[]): void {
    const [option, value] = words
    const state = this.#state
    if (option === undefined) {
      return this.#say(`format ${state.format}, expanded ${state.expanded ? 'on' : 'off'}\n`)
    }
    if (option !== 'format' || value === undefined || !isFormatName(value)) {
      return this.#complain(`\\pset format takes one of ${Object.keys(FORMATS).join(', ')}`)
    }
    state.format = value
    this.#say(`format is ${value}\n`)
  }

  async #redirect(file: string | undefined): Promise<void> {
    try {
      await this.#state.redirect(file)
    } catch (error) {
      this.#complain((error as Error).message)
    }
  }

  async #include(file: string | undefined): Promise<void> {
    if (file === undefined) return this.#complain('\\i takes a file')
    let text: string
    try {
      text = await readFile(file, 'utf8')
    } catch (error) {
      return this.#complain(`cannot read "${file}": ${(error as Error).message}`)
    }
    for (const statement of statementsInTurn(text, () => this.#state.dialect)) {
      const { text: one } = statement
      const code = isCopyCommand(one) ? this.#state.copy(one) : this.#state.runStatement(one)
      if ((await code) !== EXIT.ok) return
    }
  }

  /** The statement so far, or the last one, or a file, in an editor; what it saves is typed as it stands. */
  async #edit(file: string | undefined): Promise<void> {
    const editor = this.#io.environment('VISUAL') ?? this.#io.environment('EDITOR') ?? 'vi'
    const state = this.#state
    const dir = await mkdtemp(join(tmpdir(), 'nyala-edit-'))
    try {
      const path = file ?? join(dir, 'statement.sql')
      if (file === undefined) await writeFile(path, state.buffer || `${state.last ?? ''}\n`)
      const child = spawn(editor, [path], { stdio: 'inherit' })
      await once(child, 'exit')
      const text = await readFile(path, 'utf8')
      state.buffer = ''
      this.#say(text)
      await state.addText(text)
    } catch (error) {
      this.#complain(`cannot edit with "${editor}": ${(error as Error).message}`)
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  }

  async #go(expanded: boolean): Promise<void> {
    const state = this.#state
    const text = state.buffer.trim() === '' ? state.last : state.buffer.trim()
    state.buffer = ''
    if (text === undefined) return this.#complain('there is no statement to run')
    await state.runStatement(text, { expanded })
  }

  /** Until Ctrl-C, or until the statement fails. */
  async #watch(word: string | undefined): Promise<void> {
    const seconds = word === undefined ? WATCH_SECONDS_DEFAULT : Number(word)
    const { last } = this.#state
    if (!(seconds > 0)) return this.#complain('\\watch takes a number of seconds')
    if (last === undefined) return this.#complain('there is no statement to run')
    const interrupt = new AbortController()
    const release = this.#io.onInterrupt(() => interrupt.abort())
    try {
      while (!interrupt.signal.aborted) {
        this.#say(`${new Date(this.#io.clock.wall()).toISOString()}\n`)
        if ((await this.#state.runStatement(last)) !== EXIT.ok) return
        await this.#io.clock
          .sleep(seconds * 1000, { signal: interrupt.signal })
          .catch(() => undefined)
      }
    } finally {
      release()
    }
  }

  #setVariable(name: string | undefined, rest: readonly string[]): void {
    const { variables } = this.#state
    if (name === undefined) {
      return this.#say([...variables].map(([key, value]) => `${key} = ${value}\n`).join(''))
    }
    if (!/^[A-Za-z_]\w*$/.test(name)) return this.#complain(`"${name}" is not a name`)
    variables.set(name, rest.join(' '))
  }

  #unsetVariable(name: string | undefined): void {
    if (name === undefined || !this.#state.variables.delete(name)) {
      this.#complain(`there is no variable "${name ?? ''}"`)
    }
  }

  async #leader(): Promise<void> {
    const { leader, epoch, members } = await this.#state.database.status()
    const member = members.find(({ id }) => id === leader)
    this.#say(
      textTable(
        ['leader', 'epoch', 'address', 'state'],
        [[leader ?? 'none', String(epoch ?? ''), member?.address ?? '', member?.state ?? '']],
      ),
    )
  }

  async #kill(id: string | undefined): Promise<void> {
    if (id === undefined)
      return this.#complain('\\kill takes the id of a query; \\queries lists them')
    await this.#state.database.cancelQuery(id)
    this.#say(`asked to cancel ${id}\n`)
  }

  async #profile(kind: 'profile' | 'summary'): Promise<void> {
    const id = this.#state.runner.lastQueryId
    if (id === undefined) return this.#complain('no query has run yet')
    const profile = await this.#state.session.profile(id)
    this.#say(kind === 'profile' ? profileText(profile) : summaryText(profile))
  }
}

/** A name as it was typed behind a backslash command, without the quotes that may be around it. */
function unquoted(name: string): string {
  const quote = /^(["`]).+\1$/.exec(name)?.[1]
  return quote === undefined ? name : name.slice(1, -1).replaceAll(quote + quote, quote)
}

const onOff = (word: string | undefined, now: boolean): boolean =>
  word === undefined ? !now : word === 'on'
