#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <new>
#include <vector>

#include "native.hpp"

namespace {

sd_image_t image_of(const ssd_picture &picture) {
  // The library only reads it.
  return {static_cast<uint32_t>(picture.width), static_cast<uint32_t>(picture.height),
          static_cast<uint32_t>(picture.channels), const_cast<uint8_t *>(picture.pixels)};
}

sd_sample_params_t sampling_of(const ssd_request &request) {
  sd_sample_params_t sampling;
  sd_sample_params_init(&sampling);
  sampling.sample_steps = request.steps;
  sampling.guidance.txt_cfg = request.cfg_scale;
  if (request.sampler != nullptr) sampling.sample_method = str_to_sample_method(request.sampler);
  if (request.flow_shift > 0) sampling.flow_shift = request.flow_shift;
  return sampling;
}

std::vector<sd_lora_t> loras_of(const ssd_request &request) {
  std::vector<sd_lora_t> loras;
  for (size_t index = 0; index < request.lora_count; index++) {
    loras.push_back({false, request.lora_weights[index], request.lora_paths[index]});
  }
  return loras;
}

sd_image_t *draw_image(const ssd_model &model, const ssd_request &request, std::vector<sd_lora_t> &loras) {
  sd_img_gen_params_t parameters;
  sd_img_gen_params_init(&parameters);
  sd_image_t reference = image_of(request.reference);
  parameters.loras = loras.data();
  parameters.lora_count = static_cast<uint32_t>(loras.size());
  parameters.prompt = request.prompt;
  parameters.negative_prompt = request.negative_prompt;
  parameters.width = request.width;
  parameters.height = request.height;
  parameters.sample_params = sampling_of(request);
  parameters.strength = request.strength;
  parameters.seed = request.seed;
  parameters.init_image = image_of(request.initial);
  parameters.mask_image = image_of(request.mask);
  if (reference.data != nullptr) {
    parameters.ref_images = &reference;
    parameters.ref_images_count = 1;
    parameters.auto_resize_ref_image = true;
  }
  return generate_image(model.context, &parameters);
}

sd_image_t *draw_video(const ssd_model &model, const ssd_request &request, std::vector<sd_lora_t> &loras, int *count) {
  sd_vid_gen_params_t parameters;
  sd_vid_gen_params_init(&parameters);
  parameters.loras = loras.data();
  parameters.lora_count = static_cast<uint32_t>(loras.size());
  parameters.prompt = request.prompt;
  parameters.negative_prompt = request.negative_prompt;
  parameters.width = request.width;
  parameters.height = request.height;
  parameters.sample_params = sampling_of(request);
  // Of a model in two parts the first takes over until the noise is low: the library finds the step.
  const int found_by_library = parameters.high_noise_sample_params.sample_steps;
  parameters.high_noise_sample_params = sampling_of(request);
  parameters.high_noise_sample_params.sample_steps = found_by_library;
  parameters.strength = request.strength;
  parameters.seed = request.seed;
  parameters.init_image = image_of(request.initial);
  parameters.video_frames = request.frames;
  return generate_video(model.context, &parameters, count);
}

}  // namespace

ssd_status ssd_generate(ssd_model *model, const ssd_request *request, ssd_is_cancelled is_cancelled,
                        ssd_on_step progress, void *context, ssd_frames *frames, ssd_error *error) try {
  *frames = {};
  const progress_scope scope(progress, is_cancelled, context);
  std::vector<sd_lora_t> loras = loras_of(*request);
  start_listening();
  int count = 1;
  sd_image_t *drawn = request->frames > 0 ? draw_video(*model, *request, loras, &count)
                                          : draw_image(*model, *request, loras);
  const heard said = stop_listening();
  if (drawn == nullptr || count < 1 || drawn[0].data == nullptr) {
    std::free(drawn);
    const ssd_status status = status_of(said);
    if (status == SSD_RESOURCE) {
      return fail(error, status, "There is not enough memory to draw this: ask for a smaller size.");
    }
    const std::string first = first_line(said.errors);
    return fail(error, status,
                "stable-diffusion.cpp could not draw this" + (first.empty() ? "." : ": " + first));
  }
  frames->count = static_cast<size_t>(count);
  frames->width = static_cast<int32_t>(drawn[0].width);
  frames->height = static_cast<int32_t>(drawn[0].height);
  frames->pixels = static_cast<uint8_t **>(std::calloc(frames->count, sizeof(uint8_t *)));
  bool complete = frames->pixels != nullptr;
  for (size_t index = 0; index < frames->count; index++) {
    const bool fits = drawn[index].data != nullptr && drawn[index].channel == 3 &&
                      drawn[index].width == drawn[0].width && drawn[index].height == drawn[0].height;
    complete = complete && fits;
    if (frames->pixels != nullptr && fits) {
      frames->pixels[index] = drawn[index].data;
    } else {
      std::free(drawn[index].data);
    }
  }
  std::free(drawn);
  malloc_trim(0);
  if (!complete) {
    ssd_frames_free(frames);
    return fail(error, SSD_FAULT, "stable-diffusion.cpp returned pictures of different kinds.");
  }
  // An adapter that could not be used is only a warning to the library.
  if (has(said.warnings, "lora tensors from")) {
    ssd_frames_free(frames);
    return fail(error, SSD_BAD_INPUT, "A LoRA file of the model could not be used: " + first_line(said.warnings));
  }
  return SSD_OK;
} catch (const cancellation &) {
  malloc_trim(0);
  return fail(error, SSD_CANCELLED, "The job was cancelled.");
} catch (const std::bad_alloc &) {
  malloc_trim(0);
  return fail(error, SSD_RESOURCE, "There is not enough memory to draw this: ask for a smaller size.");
} catch (const std::exception &exception) {
  malloc_trim(0);
  return fail(error, SSD_FAULT, std::string("stable-diffusion.cpp could not draw this: ") + exception.what());
}

void ssd_frames_free(ssd_frames *frames) {
  for (size_t index = 0; frames->pixels != nullptr && index < frames->count; index++) std::free(frames->pixels[index]);
  std::free(frames->pixels);
  *frames = {};
}
