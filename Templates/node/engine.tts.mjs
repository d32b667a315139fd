// __NAME__: an engine of the kind audio_tts. It gives a tone for each word: put your voice there.
import { BadInput, Unsupported, serve } from './stoker_engine.mjs' // first: now nothing that prints can harm the wire
import fs from 'node:fs'

const RATE = 16000
let pace = 20 // milliseconds for a tone; `config` in plugin.yaml declares it, and the operator sets it

// Mono samples of 16 bits: the longer the word the deeper the tone; it ends in silence.
function tone(word, speed) {
  const count = Math.floor(RATE / 5 / speed)
  const samples = Buffer.alloc(2 * count)
  for (let at = 0; at < count * 3 / 4; at++) {
    samples.writeInt16LE(Math.round(8000 * Math.sin(2 * Math.PI * 880 / word.length * at / RATE)), 2 * at)
  }
  return samples
}

function wav(samples) {
  const head = Buffer.from('RIFF____WAVEfmt ________________________data____', 'latin1').subarray(0, 44)
  const numbers = [[4, 36 + samples.length], [16, 16], [24, RATE], [28, 2 * RATE], [40, samples.length]]
  for (const [at, value] of numbers) head.writeUInt32LE(value, at)
  for (const [at, value] of [[20, 1], [22, 1], [32, 2], [34, 16]]) head.writeUInt16LE(value, at)
  head.write('data', 36, 'latin1')
  return Buffer.concat([head, samples])
}

async function run(job) {
  const words = job.get('text', 'string').split(/\s+/).filter(Boolean)
  const speed = job.get('speed', 'number', 1, 0.25, 4)
  if (words.length === 0) throw new BadInput('task.text has no words.')
  if (job.get('ext', 'string', 'wav') !== 'wav') {
    throw new Unsupported('This engine makes wav; ask for that, or leave the format out.')
  }
  const pieces = []
  for (const [at, word] of words.entries()) {
    await job.pause(pace)
    pieces.push(tone(word, speed))
    await job.chunk(pieces.at(-1)) // waits for credit; throws when the job was cancelled
    job.progress((at + 1) / words.length, { stage: 'speaking' })
  }
  const samples = Buffer.concat(pieces)
  fs.writeFileSync(job.path('speech.wav'), wav(samples))
  const output = { ext: 'wav', duration: samples.length / 2 / RATE, sampleRate: RATE, channels: 1 }
  return { output, artifacts: [job.artifact('speech.wav')] }
}

serve({
  name: '__NAME__', version: '0.1.0', run,
  initialize: (params) => { pace = params.config?.pace ?? pace },
})
