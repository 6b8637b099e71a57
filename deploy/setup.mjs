#!/usr/bin/env node
/**
 * Makes a checkout ready to run: packages, build, etcd. Everything that is already there is left alone, so it costs
 * little to run it before each command. It runs before anything is installed, so it uses only what comes with Node.
 *
 * --test  also prepares the test runner
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const NODE_MIN = [20, 19]
const EXIT_FAILED = 1
const EXIT_CONFIGURATION = 3

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const forTests = process.argv.includes('--test')

requireNode()
installPackages()
if (forTests) buildTestRunner()
build()
await prepareEtcd()
if (forTests) await prepareSpin()

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return
  fail(
    `Node.js ${NODE_MIN.join('.')} or newer is needed, this is ${process.versions.node}`,
    'install a newer one from https://nodejs.org',
  )
}

function installPackages() {
  const why = reasonToInstall()
  if (why === undefined) return
  say(`installing packages (${why})`)
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
  // `npm ci` refuses a lock file that does not name the optional packages of every other system; `npm install` takes
  // the same versions from it. Neither touches the lock file here.
  if (tryToRun('npm', ['ci', ...quiet, '--silent'])) return
  run('npm', ['install', '--no-save', ...quiet])
  const still = reasonToInstall()
  if (still !== undefined) fail(`after npm install: ${still}`)
}

/** Why what is installed is not what package-lock.json says; undefined where it is. */
function reasonToInstall() {
  const installedPath = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(installedPath)) return 'none are installed'
  const wanted = packagesIn(join(root, 'package-lock.json'))
  const installed = packagesIn(installedPath)
  for (const [path, { version, optional, peer }] of Object.entries(wanted)) {
    // Other systems' binaries are in the lock file too; npm leaves them out here.
    if (!path.startsWith('node_modules/') || optional || peer) continue
    if (installed[path]?.version !== version)
      return `${path.slice(13)} is not as in package-lock.json`
  }
  return undefined
}

function packagesIn(path) {
  return JSON.parse(readFileSync(path, 'utf8')).packages
}

/**
 * tap is built once without the plugins that package.json leaves out, each of which would cost every test file a part of
 * a second; it keeps the result in node_modules.
 */
function buildTestRunner() {
  const built = join(root, 'node_modules/@tapjs/test/test-built/dist/esm/index.js')
  const { tap } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const unwanted = tap.plugin.map((name) => name.replace(/^!/, ''))
  const isBuilt = (text) =>
    !unwanted.some((name) => text.includes(`"${name}`) || text.includes(`'${name}`))
  if (existsSync(built) && isBuilt(readFileSync(built, 'utf8'))) return
  say('preparing the test runner (once, about 10 s)')
  run(process.execPath, [binary('tap', 'tap'), 'build'])
}

function build() {
  run(process.execPath, [binary('typescript', 'tsc'), '--build'])
}

async function prepareEtcd() {
  const install = pathToFileURL(join(root, 'deploy/dist/local/etcd-install.js')).href
  const { installEtcd } = await import(install)
  try {
    await installEtcd(process.env, say)
  } catch (error) {
    if (error.name !== 'LauncherError') throw error
    fail(error.message, error.hint, error.exitCode)
  }
}

/** The model checker of the protocol models; a test says what is missing where it cannot be had. */
async function prepareSpin() {
  const install = pathToFileURL(join(root, 'deploy/dist/local/spin-install.js')).href
  const { installSpin } = await import(install)
  try {
    await installSpin(process.env, say)
  } catch (error) {
    if (error.name !== 'LauncherError') throw error
    say(`the protocol models will not be checked: ${error.message}`)
  }
}

function binary(packageName, command) {
  const home = join(root, 'node_modules', packageName)
  const { bin } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
  return join(home, bin[command])
}

function run(command, args) {
  if (!tryToRun(command, args)) fail(`"${[command, ...args].join(' ')}" failed`)
}

function tryToRun(command, args) {
  // npm is a script on Windows, which only a shell runs.
  const shell = process.platform === 'win32' && command === 'npm'
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', shell })
  if (error !== undefined) fail(`cannot run ${command}: ${error.message}`)
  return status === 0
}

function say(line) {
  process.stderr.write(`setup: ${line}\n`)
}

function fail(message, hint, exitCode = hint === undefined ? EXIT_FAILED : EXIT_CONFIGURATION) {
  say(message)
  if (hint !== undefined) say(hint)
  process.exit(exitCode)
}
