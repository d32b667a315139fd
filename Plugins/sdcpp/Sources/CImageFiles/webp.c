#include <stdlib.h>
#include <webp/decode.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "internal.h"

bool inspect_webp(const uint8_t *data, size_t count, image_file_header *header) {
  WebPBitstreamFeatures features;
  // Of an animation only the size of the whole is known here, and no single picture could be decoded.
  if (WebPGetFeatures(data, count, &features) != VP8_STATUS_OK || features.has_animation) return false;
  *header = (image_file_header){IMAGE_FILE_WEBP, features.width, features.height};
  return features.width > 0 && features.height > 0;
}

image_file_status decode_webp(const uint8_t *data, size_t count, const image_file_header *header, uint8_t *rgb) {
  const int row = header->width * 3;
  const size_t size = (size_t)row * (size_t)header->height;
  return WebPDecodeRGBInto(data, count, rgb, size, row) != NULL ? IMAGE_FILE_OK : IMAGE_FILE_DAMAGED;
}

static image_file_status status_of(const WebPPicture *picture) {
  switch (picture->error_code) {
    case VP8_ENC_ERROR_OUT_OF_MEMORY:
    case VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY: return IMAGE_FILE_NO_MEMORY;
    default: return IMAGE_FILE_UNSUPPORTED;
  }
}

// The caller frees the picture, whatever the result.
static image_file_status import(WebPPicture *picture, const uint8_t *rgb, int32_t width, int32_t height) {
  if (!WebPPictureInit(picture)) return IMAGE_FILE_UNSUPPORTED;
  picture->width = width;
  picture->height = height;
  return WebPPictureImportRGB(picture, rgb, width * 3) ? IMAGE_FILE_OK : status_of(picture);
}

image_file_status encode_webp(const uint8_t *rgb, int32_t width, int32_t height, int32_t quality,
                              image_file_buffer *file) {
  if (width > WEBP_MAX_DIMENSION || height > WEBP_MAX_DIMENSION) return IMAGE_FILE_UNSUPPORTED;
  WebPConfig config;
  WebPPicture picture;
  WebPMemoryWriter writer;
  if (!WebPConfigPreset(&config, WEBP_PRESET_PICTURE, (float)quality)) return IMAGE_FILE_UNSUPPORTED;
  image_file_status status = import(&picture, rgb, width, height);
  if (status == IMAGE_FILE_OK) {
    WebPMemoryWriterInit(&writer);
    picture.writer = WebPMemoryWrite;
    picture.custom_ptr = &writer;
    if (!WebPEncode(&config, &picture)) status = status_of(&picture);
    // libwebp's allocator is malloc, which image_file_free answers to.
    *file = (image_file_buffer){writer.mem, writer.size};
  }
  WebPPictureFree(&picture);
  return status;
}

static image_file_status add(WebPAnimEncoder *encoder, const WebPConfig *config, const uint8_t *rgb, int32_t width,
                             int32_t height, int at) {
  WebPPicture picture;
  image_file_status status = import(&picture, rgb, width, height);
  if (status == IMAGE_FILE_OK && !WebPAnimEncoderAdd(encoder, &picture, at, config)) status = status_of(&picture);
  WebPPictureFree(&picture);
  return status;
}

image_file_status image_file_encode_animation(uint8_t *const *frames, size_t frame_count, int32_t width, int32_t height,
                                              double milliseconds, int32_t quality, image_file_buffer *file) {
  *file = (image_file_buffer){NULL, 0};
  WebPConfig config;
  WebPAnimEncoderOptions options;
  if (!WebPConfigPreset(&config, WEBP_PRESET_PICTURE, (float)quality) || !WebPAnimEncoderOptionsInit(&options)) {
    return IMAGE_FILE_UNSUPPORTED;
  }
  WebPAnimEncoder *encoder = WebPAnimEncoderNew(width, height, &options);
  if (encoder == NULL) return IMAGE_FILE_NO_MEMORY;
  image_file_status status = IMAGE_FILE_OK;
  for (size_t index = 0; index < frame_count && status == IMAGE_FILE_OK; index++) {
    status = add(encoder, &config, frames[index], width, height, (int)(milliseconds * (double)index));
  }
  WebPData data;
  WebPDataInit(&data);
  if (status == IMAGE_FILE_OK && !(WebPAnimEncoderAdd(encoder, NULL, (int)(milliseconds * (double)frame_count), NULL) &&
                                   WebPAnimEncoderAssemble(encoder, &data))) {
    status = IMAGE_FILE_NO_MEMORY;
  }
  *file = (image_file_buffer){(uint8_t *)data.bytes, data.size};
  WebPAnimEncoderDelete(encoder);
  return status;
}
