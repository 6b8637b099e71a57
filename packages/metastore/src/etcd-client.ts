import { type Clock, isMutant } from '@nyala/client/base'
import type { ClientOptions, Interceptor } from '@grpc/grpc-js'
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

export interface EtcdClient {
  readonly client: Etcd3
  /** Ends its connections, which the client's own `close` leaves open. */
  readonly close: () => void
}

/**
 * The npm client as a transport. Its retries are switched off, because a repeated write can make a won
 * comparison look lost; its Watcher, Lease and Election are not used at all, and its connections are not its own. Loaded on
 * demand: it costs about 28 MiB and 0.1 to 0.3 s.
 */
export async function makeEtcdClient(
  endpoints: readonly string[],
  clock: Clock,
  credentials: EtcdCredentials | undefined,
): Promise<EtcdClient> {
  const { Etcd3, isRecoverableError } = await import('etcd3')
  const { InterceptingCall } = await import('@grpc/grpc-js')
  const { MemberChannel } = await import('./etcd-channel.ts')
  const { circuitBreaker, ConsecutiveBreaker, handleWhen, noop } = await import('cockatiel')
  /** Makes a member that has lost its quorum end calls and streams instead of going silently stale. */
  const requireLeader: Interceptor = (call, next) =>
    new InterceptingCall(next(call), {
      start(metadata, listener, start) {
        metadata.set('hasleader', 'true')
        start(metadata, listener)
      },
    })
  const channels = new Map<string, InstanceType<typeof MemberChannel>>()
  const grpcOptions: ClientOptions = {
    'grpc.max_receive_message_length': RECEIVE_BYTES_MAX,
    'grpc.initial_reconnect_backoff_ms': RECONNECT_MIN_MS,
    'grpc.max_reconnect_backoff_ms': RECONNECT_MAX_MS,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    // These two are no channel options by their type, but passed on to the gRPC client, which takes them.
    interceptors: [requireLeader],
    channelFactoryOverride(address, channelCredentials, channelOptions) {
      const channel =
        channels.get(address) ??
        new MemberChannel({ address, credentials: channelCredentials, channelOptions, clock })
      channels.set(address, channel)
      return channel
    },
  }
  const options: IOptions = {
    hosts: [...endpoints],
    grpcOptions: grpcOptions as unknown as NonNullable<IOptions['grpcOptions']>,
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
  const client = new Etcd3(credentials === undefined ? options : { ...options, credentials })
  const close = (): void => {
    client.close()
    for (const channel of channels.values()) channel.end()
  }
  return { client, close }
}

/** Refusals that a server gives, or the client finds, before anything is proposed. */
const CERTAINLY_NOT_DONE =
  /etcdserver: no leader|too many requests|No connection established|Channel closed before call started|ECONNREFUSED|circuit is open|breaker is open/i

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
