/// The part of libstable-diffusion that the engine needs, behind a C interface without exceptions or C++ types.
///
/// The library reports through callbacks of the process, so that one call of `ssd_load` or `ssd_generate` may be in
/// progress at a time, whatever the model. Strings are UTF-8. Every function that can fail returns a status and writes
/// one sentence into `error`.
#ifndef STOKER_CSTABLEDIFFUSION_H
#define STOKER_CSTABLEDIFFUSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What kind of failure it was: the error classes of the engine protocol.
typedef enum {
  SSD_OK = 0,
  SSD_BAD_INPUT = 1,
  SSD_UNSUPPORTED = 2,
  SSD_RESOURCE = 3,
  SSD_FAULT = 4,
  SSD_CANCELLED = 5,
} ssd_status;

/// One sentence for a person, ended by NUL, cut at a character boundary.
typedef struct {
  char text[1024];
} ssd_error;

/// A model in memory.
typedef struct ssd_model ssd_model;

/// Asked between steps; true makes `ssd_generate` return `SSD_CANCELLED`.
typedef bool (*ssd_is_cancelled)(void *context);
/// Reports the steps that are done: tensors while a model loads, sampling steps while it draws. Never goes back while
/// one sampler runs; a model of two parts counts each from 0.
typedef void (*ssd_on_step)(int32_t step, int32_t steps, void *context);
/// One line of the library's log without its line break: level 0 debug, 1 information, 2 warning, 3 error.
typedef void (*ssd_on_log)(int32_t level, const char *text);

/// Sets up the library. Call once, before anything else.
void ssd_start(ssd_on_log log);

/// The first device beside the processor ("CUDA0", "Vulkan0"), or NULL. Valid as long as the process.
const char *ssd_device(void);

/// The names of the samplers, by their index; NULL after the last.
const char *ssd_sampler(size_t index);

/// Files by what they hold; NULL for none. `model` is a checkpoint with everything in it.
typedef struct {
  const char *model;
  const char *diffusion_model;
  const char *high_noise_diffusion_model;
  const char *vae;
  const char *text_encoder;
  const char *text_encoder_vision;
  const char *clip_l;
  const char *clip_g;
  const char *t5xxl;
  const char *clip_vision;
  /// Threads that compute, at least 1.
  int32_t threads;
  /// Keep the weights in main memory and bring them to the device when they are needed.
  bool offload_to_cpu;
  bool use_mmap;
  /// Of Qwen Image models that were trained so.
  bool zero_cond_t;
  /// Device memory that a graph may take, in GiB; 0 for all there is.
  float max_vram_gib;
} ssd_load_options;

/// Loads a model. A load cannot be interrupted.
ssd_status ssd_load(const ssd_load_options *options, ssd_on_step progress, void *context, ssd_model **model,
                    ssd_error *error);

/// Gives the model's memory back to the system. NULL is allowed.
void ssd_free(ssd_model *model);

typedef struct {
  /// What the library calls the model's kind: "SD 1.x", "SDXL", "Flux", "Wan 2.x" …
  char architecture[64];
  bool makes_images;
  bool makes_video;
  /// False when the model's files have only the half of the autoencoder that draws: no image can be given to it.
  bool reads_images;
  /// What the load added to this process's memory.
  uint64_t memory_bytes;
  /// What the load took from the devices; 0 without any.
  uint64_t device_bytes;
} ssd_model_info;

ssd_model_info ssd_info(const ssd_model *model);

/// 8-bit pixels, rows from the top without padding. `pixels` is NULL for no image.
typedef struct {
  const uint8_t *pixels;
  int32_t width;
  int32_t height;
  /// 3 for RGB, 1 for a mask.
  int32_t channels;
} ssd_picture;

typedef struct {
  const char *prompt;
  const char *negative_prompt;
  int32_t width;
  int32_t height;
  int32_t steps;
  float cfg_scale;
  /// A name of `ssd_sampler`, or NULL for the model's own.
  const char *sampler;
  /// 0 for the model's own.
  float flow_shift;
  /// At least 0.
  int64_t seed;
  /// How much of the initial image is drawn anew, 0...1.
  float strength;
  ssd_picture initial;
  /// White is drawn anew.
  ssd_picture mask;
  ssd_picture reference;
  const char *const *lora_paths;
  const float *lora_weights;
  size_t lora_count;
  /// 0 for one image; above that a video of so many frames.
  int32_t frames;
} ssd_request;

/// Images of one size, RGB, given back with `ssd_frames_free`.
typedef struct {
  uint8_t **pixels;
  size_t count;
  int32_t width;
  int32_t height;
} ssd_frames;

/// Draws an image or a video. Equal requests give equal bytes on one machine and thread count, whatever ran before.
///
/// A cancellation takes effect at the end of a sampling step. After one the model can be used as before.
ssd_status ssd_generate(ssd_model *model, const ssd_request *request, ssd_is_cancelled is_cancelled,
                        ssd_on_step progress, void *context, ssd_frames *frames, ssd_error *error);

void ssd_frames_free(ssd_frames *frames);

#ifdef __cplusplus
}
#endif

#endif
