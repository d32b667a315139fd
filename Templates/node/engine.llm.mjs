// __NAME__: an engine of the kind llm. It says the last message in capital letters, a word at a time: put your model there.
import { BadInput, serve } from './stoker_engine.mjs' // first: now nothing that prints can harm the wire

let pace = 20 // milliseconds for a word; `config` in plugin.yaml declares it, and the operator sets it

async function run(job) {
  const content = job.get('messages', 'array').at(-1)?.content
  if (typeof content !== 'string') throw new BadInput('The last of task.messages needs a text as its content.')
  const words = content.toUpperCase().match(/\S+\s*/g) ?? []
  for (const [at, word] of words.entries()) {
    await job.pause(pace)
    await job.chunk(word) // waits for credit; throws when the job was cancelled
    job.progress((at + 1) / words.length, { stage: 'words' })
  }
  const usage = { prompt_tokens: words.length, completion_tokens: words.length, total_tokens: 2 * words.length }
  const message = { role: 'assistant', content: words.join('') }
  const choices = [{ index: 0, message, finish_reason: 'stop' }]
  return { output: { object: 'chat.completion', model: '__NAME__', choices, usage } }
}

serve({
  name: '__NAME__', version: '0.1.0', run,
  initialize: (params) => { pace = params.config?.pace ?? pace },
})
