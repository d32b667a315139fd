#include <stdlib.h>
#include <string.h>

#include "internal.h"

static uint32_t big_endian(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

// The header chunk comes first by the format's rules.
static bool inspect_png(const uint8_t *data, size_t count, image_file_header *header) {
  if (count < 33 || memcmp(data + 12, "IHDR", 4) != 0) return false;
  const uint32_t width = big_endian(data + 16);
  const uint32_t height = big_endian(data + 20);
  if (width == 0 || height == 0 || width > INT32_MAX || height > INT32_MAX) return false;
  *header = (image_file_header){IMAGE_FILE_PNG, (int32_t)width, (int32_t)height};
  return true;
}

image_file_status image_file_inspect(const uint8_t *data, size_t count, image_file_header *header) {
  bool whole;
  if (count >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0) {
    whole = inspect_png(data, count, header);
  } else if (count >= 3 && memcmp(data, "\xff\xd8\xff", 3) == 0) {
    whole = inspect_jpeg(data, count, header);
  } else if (count >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0) {
    whole = inspect_webp(data, count, header);
  } else {
    return IMAGE_FILE_UNSUPPORTED;
  }
  return whole ? IMAGE_FILE_OK : IMAGE_FILE_DAMAGED;
}

static image_file_status allocate(size_t count, image_file_buffer *buffer) {
  buffer->bytes = malloc(count);
  buffer->count = buffer->bytes != NULL ? count : 0;
  return buffer->bytes != NULL ? IMAGE_FILE_OK : IMAGE_FILE_NO_MEMORY;
}

image_file_status image_file_decode(const uint8_t *data, size_t count, const image_file_header *header,
                                    image_file_buffer *rgb) {
  image_file_status status = allocate((size_t)header->width * (size_t)header->height * 3, rgb);
  if (status != IMAGE_FILE_OK) return status;
  switch (header->type) {
    case IMAGE_FILE_PNG: status = decode_png(data, count, header, rgb->bytes); break;
    case IMAGE_FILE_JPEG: status = decode_jpeg(data, count, header, rgb->bytes); break;
    case IMAGE_FILE_WEBP: status = decode_webp(data, count, header, rgb->bytes); break;
    default: status = IMAGE_FILE_UNSUPPORTED;
  }
  if (status != IMAGE_FILE_OK) image_file_free(rgb);
  return status;
}

image_file_status image_file_gray(const uint8_t *rgb, int32_t width, int32_t height, image_file_buffer *gray) {
  const size_t count = (size_t)width * (size_t)height;
  const image_file_status status = allocate(count, gray);
  // The weights of ITU-R BT.601, in 256ths.
  for (size_t index = 0; status == IMAGE_FILE_OK && index < count; index++) {
    const uint8_t *pixel = rgb + 3 * index;
    gray->bytes[index] = (uint8_t)((77 * pixel[0] + 150 * pixel[1] + 29 * pixel[2]) >> 8);
  }
  return status;
}

image_file_status image_file_encode(image_file_type type, const uint8_t *rgb, int32_t width, int32_t height,
                                    int32_t quality, image_file_buffer *file) {
  *file = (image_file_buffer){NULL, 0};
  image_file_status status = IMAGE_FILE_UNSUPPORTED;
  switch (type) {
    case IMAGE_FILE_PNG: status = encode_png(rgb, width, height, file); break;
    case IMAGE_FILE_JPEG: status = encode_jpeg(rgb, width, height, quality, file); break;
    case IMAGE_FILE_WEBP: status = encode_webp(rgb, width, height, quality, file); break;
    case IMAGE_FILE_BMP: status = encode_bmp(rgb, width, height, file); break;
  }
  if (status != IMAGE_FILE_OK) image_file_free(file);
  return status;
}

static void put(uint8_t *at, uint32_t value) {
  for (int index = 0; index < 4; index++) at[index] = (uint8_t)(value >> (8 * index));
}

// 24 bits a pixel, rows from the bottom, each padded to four bytes.
image_file_status encode_bmp(const uint8_t *rgb, int32_t width, int32_t height, image_file_buffer *file) {
  const size_t row = ((size_t)width * 3 + 3) / 4 * 4;
  const size_t start = 54;
  const size_t size = start + row * (size_t)height;
  if (size > UINT32_MAX) return IMAGE_FILE_UNSUPPORTED;
  file->bytes = calloc(1, size);
  if (file->bytes == NULL) return IMAGE_FILE_NO_MEMORY;
  file->count = size;
  memcpy(file->bytes, "BM", 2);
  put(file->bytes + 2, (uint32_t)size);
  put(file->bytes + 10, (uint32_t)start);
  put(file->bytes + 14, 40);
  put(file->bytes + 18, (uint32_t)width);
  put(file->bytes + 22, (uint32_t)height);
  put(file->bytes + 26, 1 | 24 << 16);
  put(file->bytes + 34, (uint32_t)(size - start));
  for (int32_t y = 0; y < height; y++) {
    const uint8_t *from = rgb + (size_t)y * (size_t)width * 3;
    uint8_t *to = file->bytes + start + (size_t)(height - 1 - y) * row;
    for (int32_t x = 0; x < width; x++, from += 3, to += 3) {
      to[0] = from[2];
      to[1] = from[1];
      to[2] = from[0];
    }
  }
  return IMAGE_FILE_OK;
}

void image_file_free(image_file_buffer *buffer) {
  free(buffer->bytes);
  *buffer = (image_file_buffer){NULL, 0};
}
