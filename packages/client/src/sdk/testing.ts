/** What a simulation needs to be a client: what checks the frames of a result. */
export { FrameBuffer, type Place } from './frame-buffer.ts'
