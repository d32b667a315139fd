// JPEG files, and scaling, with stb's headers.
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Weverything"
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_FAILURE_USERMSG
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include "stb_image.h"
#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#include "stb_image_resize.h"
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include "stb_image_write.h"
#pragma clang diagnostic pop

bool inspect_jpeg(const uint8_t *data, size_t count, image_file_header *header) {
  int width = 0;
  int height = 0;
  int channels = 0;
  if (count > INT32_MAX || !stbi_info_from_memory(data, (int)count, &width, &height, &channels)) return false;
  *header = (image_file_header){IMAGE_FILE_JPEG, width, height};
  return width > 0 && height > 0;
}

image_file_status decode_jpeg(const uint8_t *data, size_t count, const image_file_header *header, uint8_t *rgb) {
  int width = 0;
  int height = 0;
  int channels = 0;
  uint8_t *pixels = stbi_load_from_memory(data, (int)count, &width, &height, &channels, 3);
  if (pixels == NULL) {
    return strcmp(stbi_failure_reason(), "Out of memory") == 0 ? IMAGE_FILE_NO_MEMORY : IMAGE_FILE_DAMAGED;
  }
  const bool expected = width == header->width && height == header->height;
  if (expected) memcpy(rgb, pixels, (size_t)width * (size_t)height * 3);
  stbi_image_free(pixels);
  return expected ? IMAGE_FILE_OK : IMAGE_FILE_DAMAGED;
}

typedef struct {
  image_file_buffer *file;
  size_t capacity;
  bool full;
} growing_file;

static void append(void *context, void *data, int count) {
  growing_file *growing = context;
  const size_t needed = growing->file->count + (size_t)count;
  if (needed > growing->capacity && !growing->full) {
    const size_t capacity = needed * 2 + (1 << 16);
    uint8_t *bytes = realloc(growing->file->bytes, capacity);
    if (bytes == NULL) {
      growing->full = true;
      return;
    }
    growing->file->bytes = bytes;
    growing->capacity = capacity;
  }
  if (growing->full) return;
  memcpy(growing->file->bytes + growing->file->count, data, (size_t)count);
  growing->file->count = needed;
}

image_file_status encode_jpeg(const uint8_t *rgb, int32_t width, int32_t height, int32_t quality,
                              image_file_buffer *file) {
  if (width > 65535 || height > 65535) return IMAGE_FILE_UNSUPPORTED;
  growing_file growing = {file, 0, false};
  const int written = stbi_write_jpg_to_func(append, &growing, width, height, 3, rgb, quality);
  return written && !growing.full ? IMAGE_FILE_OK : IMAGE_FILE_NO_MEMORY;
}

image_file_status image_file_cover(const uint8_t *rgb, int32_t width, int32_t height, int32_t to_width,
                                   int32_t to_height, image_file_buffer *scaled) {
  // The largest part of the wanted shape, in the middle.
  int64_t part_width = width;
  int64_t part_height = height;
  if ((int64_t)width * to_height > (int64_t)to_width * height) {
    part_width = (int64_t)height * to_width / to_height;
  } else {
    part_height = (int64_t)width * to_height / to_width;
  }
  if (part_width < 1) part_width = 1;
  if (part_height < 1) part_height = 1;
  const int64_t left = (width - part_width) / 2;
  const int64_t top = (height - part_height) / 2;
  const int64_t row = (int64_t)width * 3;
  scaled->count = (size_t)to_width * (size_t)to_height * 3;
  scaled->bytes = malloc(scaled->count);
  if (scaled->bytes == NULL) return IMAGE_FILE_NO_MEMORY;
  const int done = stbir_resize_uint8(rgb + top * row + left * 3, (int)part_width, (int)part_height, (int)row,
                                      scaled->bytes, to_width, to_height, 0, 3);
  if (done) return IMAGE_FILE_OK;
  image_file_free(scaled);
  return IMAGE_FILE_NO_MEMORY;
}
