// __NAME__: an engine of the kind video. It makes a GIF of a bar that fills: put your model there.
import { Unsupported, serve } from './stoker_engine.mjs' // first: now nothing that prints can harm the wire
import fs from 'node:fs'

let pace = 20 // milliseconds for a frame; `config` in plugin.yaml declares it, and the operator sets it

const little = (...values) => values.flatMap((value) => [value & 255, value >> 8 & 255])

// A frame of two colours, the bar's and the ground's. Its codes are bytes as long as each 125 pixels are followed by the
// code that clears the table, 0x80: GIF's format, not compressed.
function frame(width, height, bar, hundredths) {
  const head = [0x21, 0xf9, 4, 0, ...little(hundredths), 0, 0, 0x2c, ...little(0, 0, width, height), 0, 7]
  const row = Buffer.alloc(width).fill(1, 0, bar)
  const pixels = Buffer.alloc(width * height, row)
  const blocks = []
  for (let at = 0; at < pixels.length; at += 125) {
    const piece = pixels.subarray(at, at + 125)
    blocks.push(Buffer.from([piece.length + 1, 0x80]), piece)
  }
  return Buffer.concat([Buffer.from(head), ...blocks, Buffer.from([1, 0x81, 0])])
}

async function run(job) {
  const prompt = Buffer.from(job.get('prompt', 'string'))
  const width = job.get('width', 'integer', 64, 16, 512)
  const height = job.get('height', 'integer', 64, 16, 512)
  const fps = job.get('fps', 'number', 10, 1, 25)
  const frames = Math.max(1, Math.floor(job.get('seconds', 'number', 2, 0.1, 30) * fps))
  if (job.get('ext', 'string', 'gif') !== 'gif') {
    throw new Unsupported('This engine makes gif; ask for that, or leave the format out.')
  }
  const colours = Buffer.alloc(3 * 128, 16) // of which two are used
  for (let part = 0; part < 3; part++) colours[3 + part] = 64 + ((prompt[0] ?? 0) * (part * 7 + 3)) % 192
  const pieces = [Buffer.from('GIF89a'), Buffer.from([...little(width, height), 0xf6, 0, 0]), colours]
  for (let at = 1; at <= frames; at++) {
    await job.pause(pace) // throws when the job was cancelled
    pieces.push(frame(width, height, Math.floor(width * at / frames), Math.round(100 / fps)))
    job.progress(at / frames, { stage: 'drawing' })
  }
  fs.writeFileSync(job.path('video.gif'), Buffer.concat([...pieces, Buffer.from([0x3b])]))
  const output = { ext: 'gif', width, height, duration: frames / fps, fps, frames }
  return { output, artifacts: [job.artifact('video.gif')] }
}

serve({
  name: '__NAME__', version: '0.1.0', run,
  initialize: (params) => { pace = params.config?.pace ?? pace },
})
