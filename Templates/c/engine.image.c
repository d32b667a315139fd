// __NAME__: an engine of the kind image. It draws stripes whose colours come from the prompt: put your model there.
#include "stoker_engine.h"

// Milliseconds for a row; `config` in plugin.yaml declares it, and the operator sets it.
static long pace = 20;

static int initialize(const stoker_json *params) {
  const stoker_json *set = stoker_get(stoker_get(params, "config"), "pace");
  if (set) pace = (long)set->number;
  return 0;
}

static void big(unsigned char *at, uint32_t value) {
  for (int byte = 0; byte < 4; byte++) at[byte] = (unsigned char)(value >> (24 - 8 * byte));
}

// One chunk of a PNG file, with its CRC-32.
static void part(FILE *file, const char *name, const unsigned char *bytes, uint32_t count) {
  unsigned char number[4];
  uint32_t crc = 0xFFFFFFFF;
  for (uint32_t at = 0; at < count + 4; at++) {
    crc ^= at < 4 ? (unsigned char)name[at] : bytes[at - 4];
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
  }
  big(number, count);
  fwrite(number, 1, 4, file);
  fwrite(name, 1, 4, file);
  fwrite(bytes, 1, count, file);
  big(number, ~crc);
  fwrite(number, 1, 4, file);
}

// A PNG file, not compressed. Each of the rows is a 0 and `width` pixels of three bytes.
static int writePNG(const char *path, const unsigned char *rows, uint32_t width, uint32_t height) {
  uint32_t row = 3 * width + 1, low = 1, high = 0, at = 2;
  unsigned char head[13] = {[8] = 8, [9] = 2}, *data = stoker_room(NULL, (size_t)height * (row + 5) + 6);
  FILE *file = fopen(path, "wb");
  if (!file) return free(data), -1;
  big(head, width);
  big(head + 4, height);
  data[0] = 0x78;
  data[1] = 0x01;
  for (uint32_t y = 0; y < height; y++) {  // a stored block for each row: zlib's format, RFC 1950 and 1951
    unsigned char block[5] = {y + 1 == height, row & 255, row >> 8, ~row & 255, (~row >> 8) & 255};
    memcpy(data + at, block, 5);
    memcpy(data + at + 5, rows + (size_t)y * row, row);
    at += row + 5;
    for (uint32_t x = 0; x < row; x++) {
      low = (low + rows[(size_t)y * row + x]) % 65521;
      high = (high + low) % 65521;
    }
  }
  big(data + at, high << 16 | low);
  fwrite("\x89PNG\r\n\x1a\n", 1, 8, file);
  part(file, "IHDR", head, 13);
  part(file, "IDAT", data, at + 4);
  part(file, "IEND", head, 0);
  free(data);
  return fclose(file);
}

static int run(stoker_job *job) {
  const char *prompt = stoker_text(job, "prompt", NULL);
  uint32_t width = (uint32_t)stoker_number(job, "width", 64, 16, 1024);
  uint32_t height = (uint32_t)stoker_number(job, "height", 64, 16, 1024), row = 3 * width + 1;
  if (strcmp(stoker_text(job, "ext", "png"), "png") != 0)
    stoker_fail(job, STOKER_UNSUPPORTED, "This engine makes png; ask for that, or leave the format out.");
  if (stoker_failed(job)) return -1;
  size_t letters = strlen(prompt);
  unsigned char *rows = stoker_room(NULL, (size_t)height * row);
  for (uint32_t y = 0; y < height; y++) {
    unsigned char letter = letters ? (unsigned char)prompt[(size_t)y * letters / height] : 0;
    rows[(size_t)y * row] = 0;
    for (uint32_t x = 0; x < 3 * width; x++) rows[(size_t)y * row + 1 + x] = (unsigned char)(letter * (x % 3 * 5 + 3));
    if (y % 8) continue;
    if (stoker_pause(job, pace)) break;  // ends the job when it was cancelled
    stoker_progress(job, (double)y / height, "drawing");
  }
  if (!stoker_cancelled(job)) {
    char *path = stoker_path(job, "image.png");
    if (writePNG(path, rows, width, height)) stoker_fail(job, STOKER_RESOURCE, "cannot write %s: %s.", path, strerror(errno));
    else stoker_artifact(job, "image.png", "image/png");
    free(path);
    stoker_add(&job->output, "{\"ext\":\"png\",\"width\":%u,\"height\":%u}", width, height);
  }
  free(rows);
  return stoker_cancelled(job) || stoker_failed(job) ? -1 : 0;
}

int main(void) {
  return stoker_serve(&(stoker_engine){.name = "__NAME__", .version = "0.1.0", .initialize = initialize, .run = run});
}
