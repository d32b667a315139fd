// __NAME__: an engine of the kind video. It makes a GIF of a bar that fills: put your model there.
#include "stoker_engine.h"

// Milliseconds for a frame; `config` in plugin.yaml declares it, and the operator sets it.
static long pace = 20;

static int initialize(const stoker_json *params) {
  const stoker_json *set = stoker_get(stoker_get(params, "config"), "pace");
  if (set) pace = (long)set->number;
  return 0;
}

static void little(FILE *file, unsigned value) {
  fputc((int)(value & 255), file);
  fputc((int)(value >> 8 & 255), file);
}

// A frame of two colours, the bar's and the ground's. Its codes are bytes as long as each 125 pixels are followed by the
// code that clears the table, 0x80: GIF's format, not compressed.
static void writeFrame(FILE *file, unsigned width, unsigned height, unsigned bar, unsigned hundredths) {
  fwrite("\x21\xF9\x04\x00", 1, 4, file);
  little(file, hundredths);
  fwrite("\x00\x00\x2C\x00\x00\x00\x00", 1, 7, file);
  little(file, width);
  little(file, height);
  fwrite("\x00\x07", 1, 2, file);
  for (unsigned at = 0; at < width * height; at += 125) {
    unsigned count = width * height - at < 125 ? width * height - at : 125;
    fputc((int)count + 1, file);
    fputc(0x80, file);
    for (unsigned n = at; n < at + count; n++) fputc(n % width < bar ? 1 : 0, file);
  }
  fwrite("\x01\x81\x00", 1, 3, file);
}

static int run(stoker_job *job) {
  const char *prompt = stoker_text(job, "prompt", NULL);
  unsigned width = (unsigned)stoker_number(job, "width", 64, 16, 512);
  unsigned height = (unsigned)stoker_number(job, "height", 64, 16, 512);
  double seconds = stoker_number(job, "seconds", 2, 0.1, 30), fps = stoker_number(job, "fps", 10, 1, 25);
  if (strcmp(stoker_text(job, "ext", "gif"), "gif") != 0)
    stoker_fail(job, STOKER_UNSUPPORTED, "This engine makes gif; ask for that, or leave the format out.");
  if (stoker_failed(job)) return -1;
  char *path = stoker_path(job, "video.gif");
  FILE *file = fopen(path, "wb");
  if (!file) stoker_fail(job, STOKER_RESOURCE, "cannot write %s: %s.", path, strerror(errno));
  free(path);
  if (!file) return -1;
  fwrite("GIF89a", 1, 6, file);
  little(file, width);
  little(file, height);
  fwrite("\xF6\x00\x00", 1, 3, file);  // 128 colours, of which two are used
  for (unsigned colour = 0; colour < 128; colour++)
    for (unsigned part = 0; part < 3; part++) fputc(colour == 1 ? 64 + (*prompt * (int)(part * 7 + 3)) % 192 : 16, file);
  unsigned frames = (unsigned)(seconds * fps) > 0 ? (unsigned)(seconds * fps) : 1, frame = 0;
  for (; frame < frames; frame++) {
    if (stoker_pause(job, pace)) break;  // ends the job when it was cancelled
    writeFrame(file, width, height, width * (frame + 1) / frames, (unsigned)(100 / fps));
    stoker_progress(job, (double)(frame + 1) / frames, "drawing");
  }
  fputc(0x3B, file);
  if (fclose(file)) return stoker_fail(job, STOKER_RESOURCE, "cannot write the video: %s.", strerror(errno));
  if (frame < frames) return -1;
  stoker_add(&job->output, "{\"ext\":\"gif\",\"width\":%u,\"height\":%u,\"duration\":%.3f,\"fps\":%g,\"frames\":%u}", width,
             height, frames / fps, fps, frames);
  return stoker_artifact(job, "video.gif", "image/gif");
}

int main(void) {
  return stoker_serve(&(stoker_engine){.name = "__NAME__", .version = "0.1.0", .initialize = initialize, .run = run});
}
