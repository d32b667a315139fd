#include "CImageCodecs.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

// libpng's simplified interface: errors come back as results, no setjmp crosses this file.
image_codec_status image_codec_png(const uint8_t *rgb, int width, int height, image_codec_bytes *out) {
  png_image image;
  memset(&image, 0, sizeof(image));
  image.version = PNG_IMAGE_VERSION;
  image.width = (png_uint_32)width;
  image.height = (png_uint_32)height;
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  out->data = malloc(size);
  if (out->data == NULL) return IMAGE_CODEC_NO_MEMORY;
  int written = png_image_write_to_memory(&image, out->data, &size, 0, rgb, width * 3, NULL);
  out->size = size;
  png_image_free(&image);
  return written ? IMAGE_CODEC_OK : IMAGE_CODEC_FAILED;
}

void image_codec_bytes_free(image_codec_bytes *bytes) {
  free(bytes->data);
  bytes->data = NULL;
  bytes->size = 0;
}
