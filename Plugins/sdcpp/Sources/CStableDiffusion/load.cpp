#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "ggml-backend.h"
#include "native.hpp"

// A library that was installed may keep its ggml to itself: then devices are not counted.
#pragma weak ggml_backend_dev_count
#pragma weak ggml_backend_dev_get
#pragma weak ggml_backend_dev_memory
#pragma weak ggml_backend_dev_name
#pragma weak ggml_backend_dev_type

namespace {

ggml_backend_dev_t gpu(size_t index) {
  ggml_backend_dev_t device = ggml_backend_dev_get(index);
  const auto type = ggml_backend_dev_type(device);
  return type == GGML_BACKEND_DEVICE_TYPE_CPU || type == GGML_BACKEND_DEVICE_TYPE_ACCEL ? nullptr : device;
}

size_t device_count() { return ggml_backend_dev_count != nullptr ? ggml_backend_dev_count() : 0; }

/// Bytes free on every device that is not the processor.
uint64_t free_device_bytes() {
  uint64_t total = 0;
  for (size_t index = 0; index < device_count(); index++) {
    ggml_backend_dev_t device = gpu(index);
    if (device == nullptr) continue;
    size_t available = 0;
    size_t all = 0;
    ggml_backend_dev_memory(device, &available, &all);
    total += available;
  }
  return total;
}

/// Bytes of this process that are in memory.
uint64_t resident_bytes() {
  unsigned long long size = 0;
  unsigned long long resident = 0;
  FILE *file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  if (std::fscanf(file, "%llu %llu", &size, &resident) != 2) resident = 0;
  std::fclose(file);
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

uint64_t grown(uint64_t before, uint64_t after) { return after > before ? after - before : 0; }

sd_ctx_params_t parameters_of(const ssd_load_options &options, bool reads_images) {
  sd_ctx_params_t parameters;
  sd_ctx_params_init(&parameters);
  parameters.model_path = options.model;
  parameters.diffusion_model_path = options.diffusion_model;
  parameters.high_noise_diffusion_model_path = options.high_noise_diffusion_model;
  parameters.vae_path = options.vae;
  parameters.llm_path = options.text_encoder;
  parameters.llm_vision_path = options.text_encoder_vision;
  parameters.clip_l_path = options.clip_l;
  parameters.clip_g_path = options.clip_g;
  parameters.t5xxl_path = options.t5xxl;
  parameters.clip_vision_path = options.clip_vision;
  parameters.n_threads = options.threads;
  parameters.offload_params_to_cpu = options.offload_to_cpu;
  parameters.enable_mmap = options.use_mmap;
  parameters.qwen_image_zero_cond_t = options.zero_cond_t;
  parameters.max_vram = options.max_vram_gib;
  parameters.diffusion_flash_attn = true;
  // On the processor the autoencoder takes less than half of the memory so, and the pictures stay the same.
  parameters.vae_conv_direct = ssd_device() == nullptr;
  // The model stays: weights are kept after they were used, and an adapter must not be written into them, for rounding
  // would be left when it is taken out again.
  parameters.free_params_immediately = false;
  parameters.lora_apply_mode = LORA_APPLY_AT_RUNTIME;
  parameters.vae_decode_only = !reads_images;
  return parameters;
}

struct context_deleter {
  void operator()(sd_ctx_t *context) const { free_sd_ctx(context); }
};

ssd_status explain(const heard &heard, ssd_error *error) {
  const std::string first = first_line(heard.errors);
  const ssd_status status = status_of(heard);
  if (status == SSD_RESOURCE) {
    return fail(error, status, "There is not enough memory for the model: unload others or choose a smaller one.");
  }
  if (has(heard.errors, "get sd version from file failed")) {
    return fail(error, SSD_UNSUPPORTED,
                "stable-diffusion.cpp does not know what kind of model these files are: check that each has the right "
                "role, or use another model.");
  }
  return fail(error, SSD_BAD_INPUT,
              "stable-diffusion.cpp could not load the model" + (first.empty() ? "." : ": " + first));
}

}  // namespace

const char *ssd_device(void) {
  for (size_t index = 0; index < device_count(); index++) {
    if (ggml_backend_dev_t device = gpu(index)) return ggml_backend_dev_name(device);
  }
  return nullptr;
}

const char *ssd_sampler(size_t index) {
  return index < SAMPLE_METHOD_COUNT ? sd_sample_method_name(static_cast<sample_method_t>(index)) : nullptr;
}

ssd_status ssd_load(const ssd_load_options *options, ssd_on_step progress, void *context, ssd_model **model,
                    ssd_error *error) try {
  const uint64_t memory_before = resident_bytes();
  const uint64_t device_before = free_device_bytes();
  // Not cancellable: the library reports while its own threads read, and they could not be left.
  const progress_scope scope(progress, nullptr, context);

  bool reads_images = true;
  start_listening();
  sd_ctx_params_t parameters = parameters_of(*options, reads_images);
  std::unique_ptr<sd_ctx_t, context_deleter> loaded(new_sd_ctx(&parameters));
  heard said = stop_listening();
  // Some files have only the half of the autoencoder that draws.
  if (loaded == nullptr && (has(said.errors, "first_stage_model.encoder") || has(said.errors, "tae.encoder"))) {
    reads_images = false;
    start_listening();
    parameters = parameters_of(*options, reads_images);
    loaded.reset(new_sd_ctx(&parameters));
    said = stop_listening();
  }
  if (loaded == nullptr) {
    malloc_trim(0);
    return explain(said, error);
  }
  // A file that the library could not use is only a warning to it.
  const size_t failed = said.warnings.find("' failed");
  if (failed != std::string::npos && has(said.warnings, "loading ")) {
    return fail(error, SSD_BAD_INPUT,
                "stable-diffusion.cpp could not use one of the model's files: " + first_line(said.warnings));
  }
  auto result = std::make_unique<ssd_model>();
  std::snprintf(result->info.architecture, sizeof result->info.architecture, "%s",
                said.architecture.empty() ? "unknown" : said.architecture.c_str());
  result->info.makes_images = sd_ctx_supports_image_generation(loaded.get());
  result->info.makes_video = sd_ctx_supports_video_generation(loaded.get());
  result->info.reads_images = reads_images;
  malloc_trim(0);
  result->info.memory_bytes = grown(memory_before, resident_bytes());
  result->info.device_bytes = grown(free_device_bytes(), device_before);
  result->context = loaded.release();
  *model = result.release();
  return SSD_OK;
} catch (const std::bad_alloc &) {
  return fail(error, SSD_RESOURCE, "There is not enough memory for the model: unload others or choose a smaller one.");
} catch (const std::exception &exception) {
  return fail(error, SSD_BAD_INPUT, std::string("stable-diffusion.cpp could not load the model: ") + exception.what());
}

void ssd_free(ssd_model *model) {
  if (model == nullptr) return;
  free_sd_ctx(model->context);
  delete model;
  // The weights were many small pieces of the heap, which keeps them otherwise.
  malloc_trim(0);
}

ssd_model_info ssd_info(const ssd_model *model) { return model->info; }
