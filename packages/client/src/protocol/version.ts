/**
 * The version both ends say in their first message; a peer with another one is refused with a reason.
 * `PROTOCOL_HASH` is the hash of the message schemas: a test fails when they change and this file does not.
 *
 * History
 *  1  first version
 *  2  frames of kind `packed`
 *  3  frames are numbered by task; `attach`, `streaming`, `taskEnded`: results go on at another coordinator
 *  4  a place says what its frames were: another attempt of a task goes on where an executor was lost
 *  5  a session may be in a transaction
 *  6  `upload`, `uploadEnded`: rows of an insert come as files
 */
export const PROTOCOL_VERSION = 6
export const PROTOCOL_HASH = 'f6f32d425c518f96'
