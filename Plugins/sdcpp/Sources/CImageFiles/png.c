// libpng's simplified interface: errors come back as results, no setjmp crosses this file.
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

image_file_status decode_png(const uint8_t *data, size_t count, const image_file_header *header, uint8_t *rgb) {
  png_image image;
  memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_memory(&image, data, count)) return IMAGE_FILE_DAMAGED;
  if (image.width != (png_uint_32)header->width || image.height != (png_uint_32)header->height) {
    png_image_free(&image);
    return IMAGE_FILE_DAMAGED;
  }
  if ((image.format & PNG_FORMAT_FLAG_ALPHA) == 0) {
    image.format = PNG_FORMAT_RGB;
    return png_image_finish_read(&image, NULL, rgb, 0, NULL) ? IMAGE_FILE_OK : IMAGE_FILE_DAMAGED;
  }
  // Without a background to put it on, transparency can only be dropped afterwards.
  const size_t pixels = (size_t)header->width * (size_t)header->height;
  uint8_t *rgba = malloc(pixels * 4);
  if (rgba == NULL) {
    png_image_free(&image);
    return IMAGE_FILE_NO_MEMORY;
  }
  image.format = PNG_FORMAT_RGBA;
  const int whole = png_image_finish_read(&image, NULL, rgba, 0, NULL);
  for (size_t index = 0; whole && index < pixels; index++) memcpy(rgb + 3 * index, rgba + 4 * index, 3);
  free(rgba);
  return whole ? IMAGE_FILE_OK : IMAGE_FILE_DAMAGED;
}

image_file_status encode_png(const uint8_t *rgb, int32_t width, int32_t height, image_file_buffer *file) {
  png_image image;
  memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  image.width = (png_uint_32)width;
  image.height = (png_uint_32)height;
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  file->bytes = malloc(size);
  if (file->bytes == NULL) return IMAGE_FILE_NO_MEMORY;
  const int written = png_image_write_to_memory(&image, file->bytes, &size, 0, rgb, 0, NULL);
  file->count = size;
  png_image_free(&image);
  return written ? IMAGE_FILE_OK : IMAGE_FILE_NO_MEMORY;
}
