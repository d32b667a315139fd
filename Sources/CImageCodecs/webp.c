#include "CImageCodecs.h"

#include <stdlib.h>
#include <webp/encode.h>
#include <webp/mux.h>

// Lossless, so that what was drawn is what a reader sees; the fastest level, for flat areas it is small enough.
static int configure(WebPConfig *config) { return WebPConfigInit(config) && WebPConfigLosslessPreset(config, 1); }

static image_codec_status status_of(const WebPPicture *picture) {
  return picture->error_code == VP8_ENC_ERROR_OUT_OF_MEMORY ||
                 picture->error_code == VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY
             ? IMAGE_CODEC_NO_MEMORY
             : IMAGE_CODEC_FAILED;
}

// The caller frees the picture, whatever the result.
static image_codec_status import(WebPPicture *picture, const uint8_t *rgb, int width, int height) {
  if (!WebPPictureInit(picture)) return IMAGE_CODEC_FAILED;
  picture->use_argb = 1;
  picture->width = width;
  picture->height = height;
  return WebPPictureImportRGB(picture, rgb, width * 3) ? IMAGE_CODEC_OK : status_of(picture);
}

image_codec_status image_codec_webp(const uint8_t *rgb, int width, int height, image_codec_bytes *out) {
  WebPConfig config;
  WebPPicture picture;
  WebPMemoryWriter writer;
  if (!configure(&config)) return IMAGE_CODEC_FAILED;
  image_codec_status status = import(&picture, rgb, width, height);
  if (status == IMAGE_CODEC_OK) {
    WebPMemoryWriterInit(&writer);
    picture.writer = WebPMemoryWrite;
    picture.custom_ptr = &writer;
    if (!WebPEncode(&config, &picture)) status = status_of(&picture);
    out->data = writer.mem;
    out->size = writer.size;
  }
  WebPPictureFree(&picture);
  return status;
}

struct image_codec_animation {
  WebPAnimEncoder *encoder;
  WebPConfig config;
  int width;
  int height;
};

image_codec_animation *image_codec_animation_begin(int width, int height) {
  WebPAnimEncoderOptions options;
  image_codec_animation *animation = calloc(1, sizeof(*animation));
  if (animation == NULL) return NULL;
  animation->width = width;
  animation->height = height;
  if (configure(&animation->config) && WebPAnimEncoderOptionsInit(&options)) {
    animation->encoder = WebPAnimEncoderNew(width, height, &options);
  }
  if (animation->encoder != NULL) return animation;
  free(animation);
  return NULL;
}

image_codec_status image_codec_animation_add(image_codec_animation *animation, const uint8_t *rgb, int at_ms) {
  WebPPicture picture;
  image_codec_status status = import(&picture, rgb, animation->width, animation->height);
  if (status == IMAGE_CODEC_OK && !WebPAnimEncoderAdd(animation->encoder, &picture, at_ms, &animation->config)) {
    status = status_of(&picture);
  }
  WebPPictureFree(&picture);
  return status;
}

image_codec_status image_codec_animation_finish(image_codec_animation *animation, int end_ms, image_codec_bytes *out) {
  WebPData data;
  WebPDataInit(&data);
  if (!WebPAnimEncoderAdd(animation->encoder, NULL, end_ms, NULL)) return IMAGE_CODEC_FAILED;
  if (!WebPAnimEncoderAssemble(animation->encoder, &data)) return IMAGE_CODEC_FAILED;
  // libwebp's allocator is malloc, and so is the one that image_codec_bytes_free answers to.
  out->data = (uint8_t *)data.bytes;
  out->size = data.size;
  return IMAGE_CODEC_OK;
}

void image_codec_animation_free(image_codec_animation *animation) {
  if (animation == NULL) return;
  WebPAnimEncoderDelete(animation->encoder);
  free(animation);
}
