import { type Clock, isMutant } from '@nyala/client/base'
import type { Interceptor } from '@grpc/grpc-js'
import type { Etcd3, IOptions } from 'etcd3'
import { CALL_TIMEOUT_MS, KvError, type KvErrorKind } from './kv.ts'

/** etcd answers ranges and watch batches with more than gRPC's default of 4 MiB. */
const RECEIVE_BYTES_MAX = 64 * 1024 * 1024
/** etcd answers pings that come more often than every 5 s with a go-away. */
const KEEPALIVE_MS = 6000
const KEEPALIVE_TIMEOUT_MS = 1500
const RECONNECT_MIN_MS = 50
const RECONNECT_MAX_MS = 500
/** A member that failed twice in a row is skipped for this long; with 2 s the loss of an etcd leader took 2.6 s. */
const BREAKER_FAILURES = 2
const BREAKER_OPEN_MS = 500

export interface EtcdCredentials {
  readonly rootCertificate: Buffer
  readonly privateKey?: Buffer
  readonly certChain?: Buffer
}

/**
 * The npm client as a transport. Its retries are switched off, because a repeated write can make a won
 * comparison look lost; its Watcher, Lease and Election are not used at all. Loaded on demand: it costs
 * about 28 MiB and 0.1 to 0.3 s.
 */
export async function makeEtcdClient(
  endpoints: readonly string[],
  clock: Clock,
  credentials: EtcdCredentials | undefined,
): Promise<Etcd3> {
  const { Etcd3, isRecoverableError } = await import('etcd3')
  const { InterceptingCall } = await import('@grpc/grpc-js')
  const { circuitBreaker, ConsecutiveBreaker, handleWhen, noop } = await import('cockatiel')
  /** Makes a member that has lost its quorum end calls and streams instead of going silently stale. */
  const requireLeader: Interceptor = (call, next) =>
    new InterceptingCall(next(call), {
      start(metadata, listener, start) {
        metadata.set('hasleader', 'true')
        start(metadata, listener)
      },
    })
  const channel = {
    'grpc.max_receive_message_length': RECEIVE_BYTES_MAX,
    'grpc.initial_reconnect_backoff_ms': RECONNECT_MIN_MS,
    'grpc.max_reconnect_backoff_ms': RECONNECT_MAX_MS,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    // Not a channel option by its type, but passed on to the gRPC client, which takes it.
    interceptors: [requireLeader],
  }
  const options: IOptions = {
    hosts: [...endpoints],
    grpcOptions: channel as unknown as NonNullable<IOptions['grpcOptions']>,
    defaultCallOptions: (context) =>
      context.isStream ? {} : { deadline: clock.wall() + CALL_TIMEOUT_MS },
    faultHandling: {
      global: noop,
      host: () =>
        circuitBreaker(handleWhen(isRecoverableError), {
          halfOpenAfter: BREAKER_OPEN_MS,
          breaker: new ConsecutiveBreaker(BREAKER_FAILURES),
        }),
    },
  }
  return new Etcd3(credentials === undefined ? options : { ...options, credentials })
}

/** Refusals that a server gives, or the client finds, before anything is proposed. */
const CERTAINLY_NOT_DONE =
  /etcdserver: no leader|too many requests|No connection established|ECONNREFUSED|circuit is open|breaker is open/i

const MESSAGES: readonly (readonly [RegExp, KvErrorKind])[] = [
  [/has been compacted/, 'compacted'],
  [/database space exceeded/, 'noSpace'],
  [/request is too large|larger than max|too many operations in txn/i, 'tooLarge'],
  [/requested lease not found/, 'leaseNotFound'],
  [/permission denied|invalid auth token|authentication failed|UNAUTHENTICATED/i, 'unauthorized'],
  [/duplicate key given in txn|required revision is a future revision/, 'invalid'],
  [/client was already closed/, 'closed'],
]

/** Types an error of the transport by its message, which is all that etcd3 keeps of the gRPC status. */
export function toKvError(cause: unknown, what: string, access: 'read' | 'write'): KvError {
  if (cause instanceof KvError) return cause
  const text = cause instanceof Error ? cause.message : String(cause)
  const known = MESSAGES.find(([pattern]) => pattern.test(text))?.[1]
  const isHidden = known === 'noSpace' && isMutant('no-alarm-told')
  const kind = known === undefined || isHidden ? unsure(text, access) : known
  return new KvError(kind, `${what}: ${text}`, { cause })
}

function unsure(text: string, access: 'read' | 'write'): KvErrorKind {
  return access === 'read' || CERTAINLY_NOT_DONE.test(text) ? 'unavailable' : 'unknownOutcome'
}
