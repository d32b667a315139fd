// __NAME__: an engine of the kind audio_stt. It says how long a WAV file is, a second at a time: put your recogniser there.
#include "stoker_engine.h"

// Milliseconds for a segment; `config` in plugin.yaml declares it, and the operator sets it.
static long pace = 20;

static int initialize(const stoker_json *params) {
  const stoker_json *set = stoker_get(stoker_get(params, "config"), "pace");
  if (set) pace = (long)set->number;
  return 0;
}

// Seconds of a WAV file of plain samples, from its first 44 bytes and its size; below 0 when it is none.
static double seconds(const char *path) {
  unsigned char head[44];
  struct stat about;
  FILE *file = fopen(path, "rb");
  bool isWAV = file && fread(head, 1, 44, file) == 44 && memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WAVE", 4) == 0;
  if (file) fclose(file);
  if (!isWAV || stat(path, &about)) return -1;
  double bytesPerSecond = head[28] + 256.0 * head[29] + 65536.0 * head[30] + 16777216.0 * head[31];
  return bytesPerSecond > 0 ? (double)(about.st_size - 44) / bytesPerSecond : -1;
}

static int run(stoker_job *job) {
  char *path = stoker_input(job, "inputUrl");
  if (!path) return -1;
  double duration = seconds(path);
  free(path);
  if (duration < 0) return stoker_fail(job, STOKER_BAD_INPUT, "task.inputUrl is no WAV file, and this engine reads no other.");
  stoker_buffer segments = {0}, text = {0}, one = {0};
  for (int start = 0; start < duration; start++) {
    one.length = 0;
    stoker_add(&one, "{\"start\":%d,\"end\":%.3f,\"text\":\"second %d\"}", start, fmin(start + 1, duration), start + 1);
    // Both end the job when it was cancelled.
    if (stoker_pause(job, pace) || stoker_chunk_json(job, "data", one.bytes)) break;
    stoker_add(&segments, "%s%s", start ? "," : "", one.bytes);
    stoker_add(&text, "%ssecond %d", start ? ", " : "", start + 1);
    stoker_progress(job, fmin(start + 1, duration) / duration, "listening");
  }
  if (!stoker_cancelled(job)) {
    stoker_add(&job->output, "{\"text\":\"%s\",\"language\":\"en\",\"duration\":%.3f,\"segments\":[%s]}",
               text.length ? text.bytes : "", duration, segments.length ? segments.bytes : "");
    stoker_add(&job->usage, "{\"audioSeconds\":%.3f}", duration);
  }
  free(segments.bytes);
  free(text.bytes);
  free(one.bytes);
  return stoker_cancelled(job) ? -1 : 0;
}

int main(void) {
  return stoker_serve(&(stoker_engine){.name = "__NAME__", .version = "0.1.0", .initialize = initialize, .run = run});
}
