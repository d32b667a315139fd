// __NAME__: an engine of the kind audio_tts. It gives a tone for each word: put your voice there.
#include "stoker_engine.h"

enum { RATE = 16000, TONE = RATE / 5 };

// Milliseconds for a tone; `config` in plugin.yaml declares it, and the operator sets it.
static long pace = 20;

static int initialize(const stoker_json *params) {
  const stoker_json *set = stoker_get(stoker_get(params, "config"), "pace");
  if (set) pace = (long)set->number;
  return 0;
}

static void little(FILE *file, unsigned value, int bytes) {
  for (; bytes > 0; bytes--, value >>= 8) fputc((int)(value & 255), file);
}

// A WAV file of mono samples of 16 bits.
static int writeWAV(const char *path, const int16_t *samples, unsigned count) {
  FILE *file = fopen(path, "wb");
  if (!file) return -1;
  fwrite("RIFF", 1, 4, file);
  little(file, 36 + 2 * count, 4);
  fwrite("WAVEfmt ", 1, 8, file);
  little(file, 16, 4);
  little(file, 1, 2);
  little(file, 1, 2);
  little(file, RATE, 4);
  little(file, RATE * 2, 4);
  little(file, 2, 2);
  little(file, 16, 2);
  fwrite("data", 1, 4, file);
  little(file, 2 * count, 4);
  for (unsigned at = 0; at < count; at++) little(file, (uint16_t)samples[at], 2);
  return fclose(file);
}

static int run(stoker_job *job) {
  const char *text = stoker_text(job, "text", NULL);
  double speed = stoker_number(job, "speed", 1, 0.25, 4);
  if (strcmp(stoker_text(job, "ext", "wav"), "wav") != 0)
    stoker_fail(job, STOKER_UNSUPPORTED, "This engine makes wav; ask for that, or leave the format out.");
  if (stoker_failed(job)) return -1;
  unsigned length = (unsigned)(TONE / speed), count = 0;
  int16_t *samples = NULL;
  for (const char *at = text + strspn(text, " \t\r\n"); *at; at += strspn(at, " \t\r\n")) {
    size_t letters = strcspn(at, " \t\r\n");
    samples = stoker_room(samples, (count + length) * sizeof *samples);
    // The longer the word the deeper the tone; it ends in silence.
    for (unsigned n = 0; n < length; n++)
      samples[count + n] = (int16_t)(n * 4 > length * 3 ? 0 : 8000 * sin(2 * M_PI * 880 / (double)letters * n / RATE));
    // Both end the job when it was cancelled.
    if (stoker_pause(job, pace) || stoker_chunk_bytes(job, samples + count, length * sizeof *samples)) break;
    count += length;
    at += letters;
    stoker_progress(job, (double)(at - text) / (double)strlen(text), "speaking");
  }
  if (count == 0) stoker_fail(job, STOKER_BAD_INPUT, "task.text has no words.");
  if (!stoker_cancelled(job) && !stoker_failed(job)) {
    char *path = stoker_path(job, "speech.wav");
    if (writeWAV(path, samples, count)) stoker_fail(job, STOKER_RESOURCE, "cannot write %s: %s.", path, strerror(errno));
    else stoker_artifact(job, "speech.wav", "audio/wav");
    free(path);
    stoker_add(&job->output, "{\"ext\":\"wav\",\"duration\":%.3f,\"sampleRate\":%d,\"channels\":1}", (double)count / RATE, RATE);
  }
  free(samples);
  return stoker_cancelled(job) || stoker_failed(job) ? -1 : 0;
}

int main(void) {
  return stoker_serve(&(stoker_engine){.name = "__NAME__", .version = "0.1.0", .initialize = initialize, .run = run});
}
