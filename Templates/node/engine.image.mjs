// __NAME__: an engine of the kind image. It draws stripes whose colours come from the prompt: put your model there.
import { Unsupported, serve } from './stoker_engine.mjs' // first: now nothing that prints can harm the wire
import fs from 'node:fs'
import zlib from 'node:zlib'

let pace = 20 // milliseconds for eight rows; `config` in plugin.yaml declares it, and the operator sets it

function crc(bytes) {
  let sum = 0xffffffff
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1
  }
  return ~sum >>> 0
}

function part(name, data) {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data])
  const ends = [Buffer.alloc(4), Buffer.alloc(4)]
  ends[0].writeUInt32BE(data.length)
  ends[1].writeUInt32BE(crc(body))
  return Buffer.concat([ends[0], body, ends[1]])
}

// A PNG file. Each of the rows is a 0 and `width` pixels of three bytes.
function png(rows, width, height) {
  const head = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0])
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(height, 4)
  const data = zlib.deflateSync(Buffer.concat(rows))
  const magic = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
  return Buffer.concat([magic, part('IHDR', head), part('IDAT', data), part('IEND', Buffer.alloc(0))])
}

async function run(job) {
  const prompt = Buffer.from(job.get('prompt', 'string'))
  const width = job.get('width', 'integer', 64, 16, 1024)
  const height = job.get('height', 'integer', 64, 16, 1024)
  if (job.get('ext', 'string', 'png') !== 'png') {
    throw new Unsupported('This engine makes png; ask for that, or leave the format out.')
  }
  const rows = []
  for (let y = 0; y < height; y++) {
    const letter = prompt[Math.floor(y * prompt.length / height)] ?? 0
    const pixels = Buffer.alloc(3 * width, Buffer.from([3, 8, 13].map((part) => letter * part & 255)))
    rows.push(Buffer.concat([Buffer.alloc(1), pixels]))
    if (y % 8) continue
    await job.pause(pace) // throws when the job was cancelled
    job.progress(y / height, { stage: 'drawing' })
  }
  fs.writeFileSync(job.path('image.png'), png(rows, width, height))
  return { output: { ext: 'png', width, height }, artifacts: [job.artifact('image.png')] }
}

serve({
  name: '__NAME__', version: '0.1.0', run,
  initialize: (params) => { pace = params.config?.pace ?? pace },
})
