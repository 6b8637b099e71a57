/** A frame of results is about 1 MiB; one row may be far larger than that, but no message may pass this. */
export const MESSAGE_BYTES_MAX = 64 * 1024 * 1024
/** What one socket may hold unsent before its writer must wait. */
export const SOCKET_BUFFER_BYTES_MAX = 8 * 1024 * 1024
/** What a client may have on its way to it unasked: 8 frames of 1 MiB. */
export const INITIAL_CREDIT_BYTES = 8 * 1024 * 1024
/** The size that senders aim for in a data frame. */
export const FRAME_BYTES_TARGET = 1024 * 1024
