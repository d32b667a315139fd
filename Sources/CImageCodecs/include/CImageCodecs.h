// Encoders for 8-bit RGB pixels, on top of libwebp and libpng. Same pixels, same library, same bytes.
#ifndef CIMAGECODECS_H
#define CIMAGECODECS_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
  IMAGE_CODEC_OK = 0,
  IMAGE_CODEC_NO_MEMORY = 1,
  IMAGE_CODEC_FAILED = 2,
} image_codec_status;

// An encoded file. Give it back with image_codec_bytes_free, also after a failure.
typedef struct {
  uint8_t *_Nullable data;
  size_t size;
} image_codec_bytes;

// `rgb` holds width * height * 3 bytes, rows from the top, no padding. 0 < width, height <= 16383.
image_codec_status image_codec_webp(const uint8_t *_Nonnull rgb, int width, int height,
                                    image_codec_bytes *_Nonnull out);
image_codec_status image_codec_png(const uint8_t *_Nonnull rgb, int width, int height,
                                   image_codec_bytes *_Nonnull out);
void image_codec_bytes_free(image_codec_bytes *_Nonnull bytes);

// An animated WEBP that loops for ever: begin, add each frame, finish, free.
typedef struct image_codec_animation image_codec_animation;
image_codec_animation *_Nullable image_codec_animation_begin(int width, int height);
// `at_ms` is when the frame appears, greater than the one before.
image_codec_status image_codec_animation_add(image_codec_animation *_Nonnull animation, const uint8_t *_Nonnull rgb,
                                             int at_ms);
// `end_ms` is when the last frame ends.
image_codec_status image_codec_animation_finish(image_codec_animation *_Nonnull animation, int end_ms,
                                                image_codec_bytes *_Nonnull out);
void image_codec_animation_free(image_codec_animation *_Nullable animation);

#endif
