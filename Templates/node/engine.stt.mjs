// __NAME__: an engine of the kind audio_stt. It says how long a WAV file is, a second at a time: put your recogniser there.
import { BadInput, serve } from './stoker_engine.mjs' // first: now nothing that prints can harm the wire
import fs from 'node:fs'

let pace = 20 // milliseconds for a segment; `config` in plugin.yaml declares it, and the operator sets it

// Seconds of a WAV file of plain samples, from its first 44 bytes and its size.
function seconds(path) {
  const file = fs.openSync(path)
  const head = Buffer.alloc(44)
  const count = fs.readSync(file, head)
  const size = fs.fstatSync(file).size
  fs.closeSync(file)
  const isWAV = count === 44 && head.toString('latin1', 0, 4) === 'RIFF' && head.toString('latin1', 8, 12) === 'WAVE'
  if (!isWAV || head.readUInt32LE(28) === 0) {
    throw new BadInput('task.inputUrl is no WAV file, and this engine reads no other.')
  }
  return (size - 44) / head.readUInt32LE(28)
}

async function run(job) {
  const [path] = job.inputs('inputUrl')
  if (!path) throw new BadInput('task.inputUrl is missing.')
  const duration = seconds(path)
  const segments = []
  for (let start = 0; start < duration; start++) {
    await job.pause(pace)
    segments.push({ start, end: Math.min(start + 1, duration), text: `second ${start + 1}` })
    await job.chunk(segments.at(-1)) // waits for credit; throws when the job was cancelled
    job.progress(Math.min(start + 1, duration) / duration, { stage: 'listening' })
  }
  const text = segments.map((segment) => segment.text).join(', ')
  return { output: { text, language: 'en', duration, segments }, usage: { audioSeconds: duration } }
}

serve({
  name: '__NAME__', version: '0.1.0', run,
  initialize: (params) => { pace = params.config?.pace ?? pace },
})
