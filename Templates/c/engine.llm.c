// __NAME__: an engine of the kind llm. It says the last message in capital letters, a word at a time: put your model there.
#include "stoker_engine.h"
#include <ctype.h>

// Milliseconds for a word; `config` in plugin.yaml declares it, and the operator sets it.
static long pace = 20;

static int initialize(const stoker_json *params) {
  const stoker_json *set = stoker_get(stoker_get(params, "config"), "pace");
  if (set) pace = (long)set->number;
  return 0;
}

// The content of the last of task.messages; NULL when it is no text.
static const char *prompt(stoker_job *job) {
  const stoker_json *messages = stoker_get(job->task, "messages"), *last = messages ? messages->child : NULL;
  while (last && last->next) last = last->next;
  return stoker_string(last, "content");
}

static int run(stoker_job *job) {
  const char *text = prompt(job);
  if (!text) return stoker_fail(job, STOKER_BAD_INPUT, "The last of task.messages needs a text as its content.");
  stoker_buffer said = {0}, word = {0};
  int count = 0;
  for (const char *at = text; *at; at++) {
    stoker_append(&word, &(char){(char)toupper((unsigned char)*at)}, 1);
    if (*at != ' ' && at[1]) continue;  // cut after a space, so never inside a character
    // Both end the job when it was cancelled.
    if (stoker_pause(job, pace) || stoker_chunk(job, word.bytes)) break;
    stoker_append(&said, word.bytes, word.length);
    word.length = 0;
    stoker_progress(job, (double)(at + 1 - text) / (double)strlen(text), "words");
    count++;
  }
  if (!stoker_cancelled(job)) {
    stoker_add(&job->output, "{\"object\":\"chat.completion\",\"model\":\"__NAME__\",\"choices\":[{\"index\":0,");
    stoker_add(&job->output, "\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\",\"content\":");
    stoker_add_string(&job->output, said.bytes);
    stoker_add(&job->output, "}}],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d}}", count,
               count, 2 * count);
  }
  free(said.bytes);
  free(word.bytes);
  return stoker_cancelled(job) ? -1 : 0;
}

int main(void) {
  return stoker_serve(&(stoker_engine){.name = "__NAME__", .version = "0.1.0", .initialize = initialize, .run = run});
}
