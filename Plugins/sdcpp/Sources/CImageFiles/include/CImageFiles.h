/// Image files from outside, and those that the engine writes: PNG with libpng, WEBP with libwebp, JPEG with stb.
///
/// Pixels are 8-bit RGB, rows from the top without padding. Same pixels, same libraries, same bytes.
#ifndef STOKER_CIMAGEFILES_H
#define STOKER_CIMAGEFILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  IMAGE_FILE_OK = 0,
  IMAGE_FILE_DAMAGED = 1,
  IMAGE_FILE_NO_MEMORY = 2,
  /// A type that is not read here; for an encoder, pixels that the type cannot hold.
  IMAGE_FILE_UNSUPPORTED = 3,
} image_file_status;

typedef enum { IMAGE_FILE_PNG = 0, IMAGE_FILE_JPEG = 1, IMAGE_FILE_WEBP = 2, IMAGE_FILE_BMP = 3 } image_file_type;

typedef struct {
  image_file_type type;
  int32_t width;
  int32_t height;
} image_file_header;

/// What is given back with `image_file_free`.
typedef struct {
  uint8_t *bytes;
  size_t count;
} image_file_buffer;

/// Tells the type by its first bytes, never by a name, and reads the size. Allocates nothing that grows with the size.
image_file_status image_file_inspect(const uint8_t *data, size_t count, image_file_header *header);

/// Decodes PNG, JPEG or WEBP to RGB; transparency is dropped. The caller has judged the size in `header`, which
/// `image_file_inspect` filled in: the memory taken is a small multiple of it.
image_file_status image_file_decode(const uint8_t *data, size_t count, const image_file_header *header,
                                    image_file_buffer *rgb);

/// The middle of a picture in the shape of `to_width` x `to_height`, scaled to that.
image_file_status image_file_cover(const uint8_t *rgb, int32_t width, int32_t height, int32_t to_width,
                                   int32_t to_height, image_file_buffer *scaled);

/// The brightness of each pixel.
image_file_status image_file_gray(const uint8_t *rgb, int32_t width, int32_t height, image_file_buffer *gray);

/// Encodes a picture. `quality`, 1...100, is for JPEG and WEBP.
image_file_status image_file_encode(image_file_type type, const uint8_t *rgb, int32_t width, int32_t height,
                                    int32_t quality, image_file_buffer *file);

/// An animated WEBP of frames of one size, `milliseconds` each, that loops for ever.
image_file_status image_file_encode_animation(uint8_t *const *frames, size_t frame_count, int32_t width, int32_t height,
                                              double milliseconds, int32_t quality, image_file_buffer *file);

void image_file_free(image_file_buffer *buffer);

#ifdef __cplusplus
}
#endif

#endif
