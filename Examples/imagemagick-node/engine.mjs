// Title cards and posters: a text, set and coloured by rules, over hills that a seed chose. No imagination is in it.
import { BadInput, EngineError, Resource, Unsupported, serve } from './stoker_engine.mjs' // first: now nothing that prints can harm the wire
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { card, plain } from './card.mjs'

const FONT = '/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf' // of the package fonts-dejavu-core
const PROMPT_BYTES = 16384
const FORMATS = { png: 'png', jpg: 'jpg', jpeg: 'jpg', webp: 'webp' }
const here = path.dirname(fileURLToPath(import.meta.url))
let program = ''
let maxPixels = 4194304

/** ImageMagick 7 is `magick`, 6 is `convert`. */
function initialize({ config }) {
  const places = (process.env.PATH ?? '').split(':').concat('/usr/bin')
  const found = ['magick', 'convert'].flatMap((name) => places.map((place) => path.join(place, name))).find((file) => fs.existsSync(file))
  if (!found) throw new EngineError('ImageMagick is missing: apt-get install imagemagick')
  if (!fs.existsSync(FONT)) throw new EngineError(`The type ${FONT} is missing: apt-get install fonts-dejavu-core`)
  program = found
  maxPixels = config?.maxPixels ?? maxPixels
}

/** Runs ImageMagick with the drawing on its stdin; its process is killed when the job is cancelled. */
function paint(job, words, drawing) {
  return new Promise((done, failed) => {
    const env = { PATH: process.env.PATH, HOME: job.workDirectory, MAGICK_CONFIGURE_PATH: here, MAGICK_TEMPORARY_PATH: job.workDirectory }
    const child = spawn(program, words, {
      cwd: job.workDirectory, env, stdio: ['pipe', 'ignore', 'pipe'], signal: job.signal, killSignal: 'SIGKILL',
    })
    let said = ''
    child.stderr.on('data', (block) => { said = (said + block).slice(-4000) })
    child.stdin.on('error', () => {}) // that it has ended, its status says
    child.stdin.end(drawing)
    let problem
    child.on('error', (error) => { problem = error }) // not started, or cancelled: that comes before the end
    child.on('close', (status, signal) => {
      if (status === 0) return done()
      if (/no space left|resource|exhausted/i.test(said)) return failed(new Resource('ImageMagick had too little memory or disk.', said))
      failed(problem ?? new EngineError(`ImageMagick failed with ${signal ?? `status ${status}`}.`, said))
    })
    if (child.pid === undefined) failed(new EngineError(`${program} does not start.`))
  })
}

async function run(job) {
  const prompt = job.get('prompt', 'string')
  if (Buffer.byteLength(prompt) > PROMPT_BYTES) throw new BadInput(`task.prompt is longer than ${PROMPT_BYTES} bytes.`)
  if (!plain(prompt)) throw new BadInput('task.prompt has no letter that can be drawn.')
  const width = job.get('width', 'integer', 512, 64, 4096)
  const height = job.get('height', 'integer', 512, 64, 4096)
  if (width * height > maxPixels) throw new BadInput(`task.width times task.height is over ${maxPixels}, which the operator allows.`)
  const ext = FORMATS[job.get('ext', 'string', 'webp').toLowerCase()]
  if (!ext) throw new Unsupported('task.ext: this engine makes png, jpg (jpeg) and webp.')
  const seed = job.get('seed', 'number', randomInt(2 ** 32), 0, 2 ** 64) // beyond 2^53 neighbours are one seed
  if (!Number.isInteger(seed)) throw new BadInput('task.seed must be a whole number.')
  for (const name of ['initImageUrl', 'maskUrl', 'refImageUrl']) {
    if (job.task[name] != null) throw new Unsupported(`task.${name}: this engine draws cards of text, and changes no pictures.`)
  }
  job.progress(0.1, { stage: 'drawing' })
  const { sky, drawing } = card({ prompt, width, height, seed, font: FONT })
  const size = `${width}x${height}`
  const limits = ['-limit', 'memory', '512MiB', '-limit', 'map', '512MiB', '-limit', 'disk', '0', '-limit', 'thread', '1', '-limit', 'time', '60']
  // Every word here is the engine's own: names of colours and formats, numbers.
  const words = [
    ...limits, '-size', size, `gradient:${sky[0]}-${sky[1]}`, '(', '-background', 'none', '-size', size, 'mvg:-', ')', '-composite',
    '-depth', '8', '-strip', '-define', 'png:exclude-chunks=date,time', '-quality', '90', `${ext === 'jpg' ? 'jpeg' : ext}:card.${ext}`,
  ]
  await paint(job, words, drawing)
  job.progress(1, { stage: 'drawing' })
  return { output: { ext, width, height, seed }, artifacts: [job.artifact(`card.${ext}`)] }
}

serve({ name: 'imagemagick-node', version: '1.0.0', concurrency: 2, features: ['progress'], initialize, run })
