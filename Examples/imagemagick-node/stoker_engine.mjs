// The kit for engines in JavaScript: this one file, Node.js 18 or newer, no packages. README.md shows its use.
//
// Import it before anything that may print: from then on `console.log` and `process.stdout` are the log. `run(job)` is
// asynchronous; what it throws is the job's error, and its class says whose fault it is. The wire is read between two
// turns of the event loop: work that computes for long belongs into a child process or a worker thread.
import fs from 'node:fs'
import path from 'node:path'
import tty from 'node:tty'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'

const LINE_BYTES = 1 << 20 // the line cap
const CHUNK_BYTES = 256 << 10 // what is longer goes into a file
const PROGRESS_MILLISECONDS = 100 // at most one report in this time; the last one always goes out
const EXIT_GRACE_MILLISECONDS = 2000 // how long cancelled jobs have to end before the process ends
const CONTENT_TYPES = {
  wav: 'audio/wav', mp3: 'audio/mpeg', ogg: 'audio/ogg', flac: 'audio/flac', png: 'image/png', jpg: 'image/jpeg',
  webp: 'image/webp', gif: 'image/gif', mp4: 'video/mp4', webm: 'video/webm',
}

/** A failure with its class. `message` is one sentence that a user can act on, `evidence` raw detail for the log. */
export class EngineError extends Error {
  code = -32002 // the engine's own fault; tried again on a fresh process
  failure = 'engine_fault'
  constructor(message, evidence = '') { super(message); this.evidence = evidence }
}
/** The caller's fault; never tried again. */
export class BadInput extends EngineError { code = -32001; failure = 'bad_input' }
/** No memory, device or disk; tried again with room. */
export class Resource extends EngineError { code = -32003; failure = 'resource' }
/** Passing trouble; tried again after a pause. */
export class Transient extends EngineError { code = -32004; failure = 'transient' }
/** This engine cannot do that at all. */
export class Unsupported extends EngineError { code = -32005; failure = 'unsupported' }
/** The host has cancelled the job; let it pass. */
export class Cancelled extends EngineError { code = -32800; failure = 'cancelled' }

/** One job in the hands of `run`. What is sent after `run` has ended is dropped. */
export class Job {
  #server; #through; #wake = []; #sent = 0; #abort = new AbortController(); #report = {}; #order = Promise.resolve()
  ended = false
  constructor(server, params) {
    this.#server = server
    this.id = member(params, 'jobId', 'string')
    this.kind = member(params, 'kind', 'string')
    this.workDirectory = member(params, 'workDirectory', 'string') // empty, and this attempt's own
    this.task = params.taskFile == null ? member(params, 'task', 'object') : {}
    this.model = params.model ?? null
    this.parameters = params // all of `job/run`
    this.#through = params.credit ?? 64
  }

  /** Aborts when the host has cancelled the job: for `spawn`, for instance. */
  get signal() { return this.#abort.signal }
  get isCancelled() { return this.signal.aborted }

  /** Throws Cancelled when the host has cancelled the job. Call it at every step of long work. */
  checkCancelled() { if (this.isCancelled) throw new Cancelled('The job was cancelled.') }

  /** Waits; throws Cancelled at once when the job is cancelled. */
  async pause(milliseconds) {
    await sleep(milliseconds, undefined, { signal: this.signal }).catch(() => {})
    this.checkCancelled()
  }

  /**
   * A member of the task of type 'string', 'number', 'integer', 'boolean', 'array' or 'object'; absent and null give
   * `fallback`. BadInput names it when it is missing and has no fallback, has another type, or is out of bounds.
   */
  get(name, type, fallback, least = -Infinity, most = Infinity) {
    const value = this.task[name]
    if (value == null && fallback !== undefined) return fallback
    if (!isOf(value, type)) throw new BadInput(`task.${name} must be of type ${type}.`)
    if (typeof value === 'number' && !(least <= value && value <= most)) {
      throw new BadInput(`task.${name} must be from ${least} to ${most}; it is ${value}.`)
    }
    return value
  }

  /** The paths behind a member with a `file:` URL or a list of them, checked to be regular files; [] when absent. */
  inputs(name) {
    return [this.task[name] ?? []].flat().map((url) => {
      try {
        const file = fileURLToPath(url)
        if (fs.statSync(file).isFile()) return file
      } catch {}
      throw new BadInput(`task.${name} must be the file: URL of a regular file.`)
    })
  }

  /** Where a file of the work directory lies. `name` is one plain component. */
  path(name) {
    if (['', '.', '..'].includes(name) || /[/\0]/.test(name)) throw new EngineError(`${name} is no name of a file.`)
    return path.join(this.workDirectory, name)
  }

  /** Declares a file that was written to `path(name)` and closed. Its ending says the content type. */
  artifact(name, contentType) {
    const known = CONTENT_TYPES[path.extname(name).slice(1).toLowerCase()]
    const bytes = fs.lstatSync(this.path(name)).size
    return { name, contentType: contentType ?? known ?? 'application/octet-stream', bytes }
  }

  /** Sends a piece of the result: text, a Buffer (as base64) or other JSON. Waits for credit; throws Cancelled. */
  chunk(piece) {
    const mine = this.#order.then(() => this.#chunk(piece))
    this.#order = mine.catch(() => {})
    return mine
  }
  async #chunk(piece) {
    const data = Buffer.isBuffer(piece) ? piece.toString('base64') : piece
    if (Buffer.byteLength(JSON.stringify(data)) > CHUNK_BYTES) throw new EngineError('A chunk is over 256 KiB.')
    const isLive = this.#server.features.includes('chunks')
    while (isLive && !this.isCancelled && !this.ended && this.#sent >= this.#through) {
      await new Promise((go) => this.#wake.push(go))
    }
    this.checkCancelled()
    if (!isLive || this.ended) return
    const body = typeof piece === 'string' ? { text: data } : { data }
    this.#server.notify('job/chunk', { jobId: this.id, seq: ++this.#sent, ...body })
    await new Promise(setImmediate) // the wire has its turn between two chunks
  }

  /** Reports a fraction (0 to 1) and any of step, steps, stage, message, etaSeconds; sent ten times a second at most. */
  progress(fraction, details = {}) {
    if (!this.#server.features.includes('progress') || this.ended) return
    const clean = Number.isFinite(fraction) ? { fraction: Math.min(1, Math.max(0, fraction)) } : {}
    this.#report.next = JSON.stringify({ jobId: this.id, ...details, ...clean })
    if (performance.now() - (this.#report.at ?? -Infinity) >= PROGRESS_MILLISECONDS) this.flush()
  }

  /** The kit's own: what was held back goes out. */
  flush() {
    const { next, last } = this.#report
    if (next === undefined || next === last) return
    this.#report = { last: next, at: performance.now() }
    this.#server.notify('job/progress', JSON.parse(next))
  }
  /** The kit's own. */
  update({ cancelled = false, through = 0, ended = false }) {
    this.#through = Math.max(this.#through, through)
    this.ended ||= ended
    if (cancelled) this.#abort.abort()
    for (const go of this.#wake.splice(0)) go()
  }
}

const realWrite = process.stdout.write.bind(process.stdout)
/** Moves the wire out of reach: from here on what JavaScript prints is the log. */
const isPiped = !tty.isatty(0)
if (isPiped) process.stdout.write = process.stderr.write.bind(process.stderr)

/** Serves an engine: {name, version, concurrency?, features?, initialize?(params), run(job), shutdown?()}. */
export function serve(engine) {
  if (!isPiped) {
    console.error(`${engine.name} ${engine.version} is an engine of the stoker host: \`stoker plugins lint\` checks it`)
    process.exit(64) // EX_USAGE of sysexits.h
  }
  new Server(engine).start()
}

class Server {
  features = []
  #jobs = new Map(); #running = new Set(); #phase = 'fresh'; #kept = []; #length = 0
  constructor(engine) { this.engine = engine }

  start() {
    process.stdin.on('data', (block) => this.#feed(block))
    process.stdin.on('end', () => this.#leave())
    process.stdin.on('error', () => this.#leave())
    process.stdout.on('error', () => {}) // that the host is gone, the reader sees
  }

  notify(method, params) { this.#send({ method, params }) }
  #send(message) { realWrite(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`) } // on a pipe: whole, at once
  #refuse(id, code, message, data) { this.#send({ id, error: { code, message, ...(data && { data }) } }) }

  /** Cuts at LF. Of a line over the cap nothing is kept; a rest without LF is no line. */
  #feed(block) {
    for (let from = 0; from < block.length;) {
      const end = block.indexOf(10, from)
      const piece = block.subarray(from, end < 0 ? block.length : end)
      this.#length += piece.length
      if (this.#length <= LINE_BYTES) this.#kept.push(piece)
      if (end < 0) return
      if (this.#length > LINE_BYTES) this.#refuse(null, -32600, `A line is over the cap of ${LINE_BYTES} bytes.`)
      else if (this.#length > 0) this.#receive(Buffer.concat(this.#kept))
      this.#kept = []
      this.#length = 0
      from = end + 1
    }
  }

  #receive(line) {
    let message
    try {
      message = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line))
    } catch (error) {
      return this.#refuse(null, -32700, `A line is not JSON: ${error.message}`)
    }
    const { jsonrpc, id = null, method } = message ?? {}
    const isRight = jsonrpc === '2.0' && (typeof method === 'string' || 'result' in message || 'error' in message)
    if (!isRight) return this.#refuse(null, -32600, 'A line is JSON, but no JSON-RPC 2.0 message.')
    try {
      const params = member(message, 'params', 'object', {})
      if (method !== undefined && id !== null) return this.#request(id, method, params)
      const job = this.#jobs.get(params.jobId)
      if (method === 'job/cancel') job?.update({ cancelled: true })
      if (method === 'job/credit') job?.update({ through: member(params, 'through', 'integer', 0) })
    } catch (error) {
      if (id !== null) this.#refuse(id, -32602, `${method}: ${error.message}`)
    }
  }

  #request(id, method, params) {
    if (method === 'ping') return this.#send({ id, result: {} })
    if (method === 'shutdown') return this.#leave(id)
    if (method === 'initialize') return this.#greet(id, params)
    if (method !== 'job/run') return this.#refuse(id, -32601, `This engine has no method ${JSON.stringify(method)}.`)
    if (this.#phase !== 'ready') return this.#refuse(id, -32600, 'job/run came before initialize was answered.')
    const job = new Job(this, params)
    if (this.#jobs.has(job.id)) throw new Error('that job is already running')
    this.#jobs.set(job.id, job)
    const running = this.#run(id, job).finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  async #greet(id, params) {
    if (this.#phase !== 'fresh') return this.#refuse(id, -32600, 'initialize was sent before.')
    const versions = member(params, 'protocolVersions', 'array')
    if (!versions.includes(1)) {
      const text = `This engine speaks protocol version 1; the host offered ${versions.join(', ')}.`
      return this.#refuse(id, -32005, text, { class: 'unsupported' })
    }
    this.#phase = 'greeting'
    const { name, version, concurrency = 1, features = ['chunks', 'progress'] } = this.engine
    try {
      const models = await this.engine.initialize?.(params)
      this.features = features.filter((feature) => params.features?.includes(feature))
      this.#phase = 'ready'
      const narrowed = Array.isArray(models) ? { models } : {}
      const answer = { protocolVersion: 1, engine: { name, version }, features: this.features, concurrency, ...narrowed }
      this.#send({ id, result: answer })
    } catch (error) {
      this.#phase = 'fresh'
      this.#fail(id, error)
    }
  }

  async #run(id, job) {
    let answer
    try {
      job.checkCancelled()
      const { output = {}, artifacts = [], usage } = await this.engine.run(job)
      answer = JSON.stringify({ jsonrpc: '2.0', id, result: { output, artifacts, usage } })
      if (Buffer.byteLength(answer) > LINE_BYTES) throw new EngineError('The result is over 1 MiB: write a file.')
      job.flush()
    } catch (error) {
      answer = error
    }
    this.#jobs.delete(job.id)
    job.update({ ended: true })
    if (typeof answer === 'string') realWrite(`${answer}\n`)
    else this.#fail(id, job.isCancelled ? new Cancelled('The job was cancelled.') : answer)
  }

  #fail(id, error) {
    if (error instanceof EngineError) {
      const evidence = error.evidence ? { evidence: error.evidence.slice(-4000) } : {}
      return this.#refuse(id, error.code, error.message, { class: error.failure, ...evidence })
    }
    console.error(error)
    const noRoom = ['ENOSPC', 'EDQUOT', 'ENOMEM'].includes(error?.code)
    this.#refuse(id, noRoom ? -32003 : -32002, `The engine failed: ${error?.message ?? error}`, {
      class: noRoom ? 'resource' : 'engine_fault', evidence: String(error?.stack ?? '').slice(-4000),
    })
  }

  async #leave(id) {
    for (const job of this.#jobs.values()) job.update({ cancelled: true })
    await Promise.race([Promise.allSettled([...this.#running]), sleep(EXIT_GRACE_MILLISECONDS)])
    if (id !== undefined) {
      await this.engine.shutdown?.()
      this.#send({ id, result: {} })
    }
    process.exit(0)
  }
}

function isOf(value, type) {
  if (type === 'array') return Array.isArray(value)
  if (type === 'integer') return Number.isSafeInteger(value)
  if (type === 'object') return value !== null && typeof value === 'object' && !Array.isArray(value)
  return typeof value === type
}

function member(members, name, type, fallback) {
  const value = members[name]
  if (value == null && fallback !== undefined) return fallback
  if (!isOf(value, type)) throw new Error(value == null ? `${name} is missing` : `${name} is not of type ${type}`)
  return value
}
