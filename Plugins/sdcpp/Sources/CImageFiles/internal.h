#pragma once

#include "CImageFiles.h"

image_file_status decode_png(const uint8_t *data, size_t count, const image_file_header *header, uint8_t *rgb);
image_file_status decode_jpeg(const uint8_t *data, size_t count, const image_file_header *header, uint8_t *rgb);
image_file_status decode_webp(const uint8_t *data, size_t count, const image_file_header *header, uint8_t *rgb);
bool inspect_jpeg(const uint8_t *data, size_t count, image_file_header *header);
bool inspect_webp(const uint8_t *data, size_t count, image_file_header *header);

image_file_status encode_png(const uint8_t *rgb, int32_t width, int32_t height, image_file_buffer *file);
image_file_status encode_jpeg(const uint8_t *rgb, int32_t width, int32_t height, int32_t quality,
                              image_file_buffer *file);
image_file_status encode_webp(const uint8_t *rgb, int32_t width, int32_t height, int32_t quality,
                              image_file_buffer *file);
image_file_status encode_bmp(const uint8_t *rgb, int32_t width, int32_t height, image_file_buffer *file);
