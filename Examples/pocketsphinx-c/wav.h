// Reads a WAV file as what the recogniser hears: one channel of 16-bit samples, 16,000 a second. Nothing that the file says
// of itself is believed before it fits what the file holds.
#ifndef WAV_H
#define WAV_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
enum { WAV_RATE = 16000, WAV_MAX_RATE = 192000, WAV_MAX_CHANNELS = 8, WAV_MAX_CHUNKS = 1000 };

typedef struct {
  FILE *file;
  int rate, channels, width;  // frames a second; bytes of one sample: 1 to 4
  int64_t frames, read;  // in the file; taken from it
  int64_t filled;  // of the output sample that is being made, in parts of `rate`
  double sum;
} wav;

static uint32_t wav_little(const unsigned char *at, int bytes) {
  uint32_t value = 0;
  while (bytes--) value = value << 8 | at[bytes];
  return value;
}

// Opens a file and finds its samples. NULL, or what is wrong and what to do, as the end of a sentence.
static const char *wav_open(wav *in, const char *path) {
  unsigned char head[40];
  struct stat about;
  bool isDescribed = false;
  memset(in, 0, sizeof *in);
  in->file = fopen(path, "rb");
  if (!in->file || fstat(fileno(in->file), &about)) return "cannot be read";
  if (fread(head, 1, 12, in->file) != 12 || memcmp(head, "RIFF", 4) || memcmp(head + 8, "WAVE", 4))
    return "is no WAV file; make one with: ffmpeg -i FILE -ar 16000 -ac 1 speech.wav";
  int64_t at = 12, size = about.st_size;
  for (int count = 0; count < WAV_MAX_CHUNKS; count++) {
    if (fread(head, 1, 8, in->file) != 8) return "is a WAV file without samples";
    int64_t length = wav_little(head + 4, 4), room = size - (at += 8);
    if (memcmp(head, "data", 4) == 0) {
      if (!isDescribed) return "is a WAV file whose samples come before their description";
      // Programs that write into a pipe cannot know the length, and leave one of these.
      bool isOpen = length == 0 || length >= 0x7ffff000;
      if (length > room && !isOpen) return "is a WAV file that claims more than it holds: it was cut off";
      in->frames = (isOpen ? room : length) / (in->width * in->channels);
      return in->frames ? NULL : "is a WAV file without samples";
    }
    if (length > room) return "is a WAV file that claims more than it holds: it was cut off";
    if (memcmp(head, "fmt ", 4) == 0) {
      if (isDescribed || length < 16) return "is a WAV file with a description that cannot be";
      size_t wanted = length < 40 ? 16 : 40;
      if (fread(head, 1, wanted, in->file) != wanted) return "cannot be read";
      uint32_t format = wav_little(head, 2);
      if (format == 0xfffe && wanted == 40) format = wav_little(head + 24, 2);
      in->channels = (int)wav_little(head + 2, 2);
      uint32_t rate = wav_little(head + 4, 4), block = wav_little(head + 12, 2), bits = wav_little(head + 14, 2);
      if (format != 1 || bits == 0 || bits > 32 || bits % 8)
        return "is a WAV file with other samples than linear ones of 8 to 32 bits; convert it with: "
               "ffmpeg -i FILE -ar 16000 -ac 1 speech.wav";
      in->width = (int)bits / 8;
      if (in->channels < 1 || in->channels > WAV_MAX_CHANNELS) return "is a WAV file with no channels, or more than 8";
      if (block != (uint32_t)(in->width * in->channels)) return "is a WAV file with a description that cannot be";
      if (rate < WAV_RATE || rate > WAV_MAX_RATE)
        return "has less than 16,000 samples a second, or more than 192,000; record it anew, or convert it with: "
               "ffmpeg -i FILE -ar 16000 -ac 1 speech.wav";
      in->rate = (int)rate;
      isDescribed = true;
    }
    at += length + length % 2;
    if (at > size || fseeko(in->file, at, SEEK_SET)) return "is a WAV file without samples";
  }
  return "is a WAV file of more than 1000 parts";
}

// One frame of the file, its channels mixed, in the range of 16 bits. False at the end, also when the file ends early.
static bool wav_frame(wav *in, double *value) {
  unsigned char bytes[4 * WAV_MAX_CHANNELS];
  size_t block = (size_t)(in->width * in->channels);
  if (in->read >= in->frames || fread(bytes, 1, block, in->file) != block) return false;
  in->read++;
  *value = 0;
  for (int channel = 0; channel < in->channels; channel++) {
    uint32_t raw = wav_little(bytes + channel * in->width, in->width) << (32 - 8 * in->width);
    if (in->width == 1) raw ^= 0x80000000;  // eight bits have no sign
    *value += (int32_t)raw / 65536.0 / in->channels;
  }
  return true;
}

// Takes up to `count` samples; fewer only at the end. Each is the mean of what lies in its time, which also keeps most of
// what the recogniser's rate cannot hold from coming back as noise.
static size_t wav_take(wav *in, int16_t *samples, size_t count) {
  size_t made = 0;
  double value;
  while (made < count && wav_frame(in, &value)) {
    // A frame lasts WAV_RATE parts, a sample `rate` of them: at least as long.
    int64_t part = in->rate - in->filled < WAV_RATE ? in->rate - in->filled : WAV_RATE;
    in->sum += value * (double)part;
    in->filled += part;
    if (in->filled < in->rate) continue;
    double mean = in->sum / in->rate;
    samples[made++] = (int16_t)(mean > 32767 ? 32767 : mean < -32768 ? -32768 : mean);
    in->filled = WAV_RATE - part;
    in->sum = value * (double)in->filled;
  }
  return made;
}

static void wav_close(wav *in) {
  if (in->file) fclose(in->file);
  in->file = NULL;
}
#endif
