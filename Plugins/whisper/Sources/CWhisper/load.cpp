#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "model.hpp"

namespace {

/// Bytes of this process that are in memory.
uint64_t resident_bytes() {
  unsigned long long all = 0;
  unsigned long long resident = 0;
  FILE *file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  if (std::fscanf(file, "%llu %llu", &all, &resident) != 2) resident = 0;
  std::fclose(file);
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

/// Bytes free on every device that is not the processor.
uint64_t free_device_bytes() {
  uint64_t total = 0;
  for (size_t index = 0; index < ggml_backend_dev_count(); index++) {
    ggml_backend_dev_t device = ggml_backend_dev_get(index);
    if (ggml_backend_dev_type(device) != GGML_BACKEND_DEVICE_TYPE_GPU) continue;
    size_t available = 0;
    size_t all = 0;
    ggml_backend_dev_memory(device, &available, &all);
    total += available;
  }
  return total;
}

/// A model file as libwhisper's loader reads it, with progress on the way.
struct source {
  FILE *file = nullptr;
  uint64_t size = 0;
  uint64_t read = 0;
  swhisper_on_load progress = nullptr;
  void *context = nullptr;
  bool given_up = false;

  ~source() {
    if (file != nullptr) std::fclose(file);
  }

  size_t next(void *to, size_t count) {
    if (!given_up && progress != nullptr && size > 0) {
      given_up = !progress(static_cast<float>(static_cast<double>(read) / static_cast<double>(size)), context);
    }
    size_t taken = 0;
    // In pieces, so that one large tensor of a slow disk still shows progress.
    while (!given_up && taken < count) {
      const size_t piece = std::min<size_t>(count - taken, 16 << 20);
      const size_t some = std::fread(static_cast<char *>(to) + taken, 1, piece, file);
      if (some == 0) break;
      taken += some;
      read += some;
      if (some == piece && taken < count && progress != nullptr) {
        given_up = !progress(static_cast<float>(static_cast<double>(read) / static_cast<double>(size)), context);
      }
    }
    // libwhisper does not look at the count.
    if (taken < count) std::memset(static_cast<char *>(to) + taken, 0, count - taken);
    return taken;
  }

  bool ended() const { return given_up || std::feof(file) != 0 || std::ferror(file) != 0; }
};

swhisper_status explain(const std::string &name, const std::string &errors, swhisper_error *error) {
  if (errors.find("failed to allocate") != std::string::npos || errors.find("alloc") != std::string::npos) {
    return fail(error, SWHISPER_RESOURCE,
                "There is not enough memory for the model " + name + ": unload others or choose a smaller one.");
  }
  const std::string first = errors.substr(0, errors.find('\n'));
  return fail(error, SWHISPER_BAD_INPUT,
              std::string("whisper.cpp ") + whisper_version() + " could not load " + name +
                  (first.empty() ? "." : ": " + first));
}

/// Transcribes a second of silence with a tiny window, so that what is allocated on first use is there: the cache for
/// several beams above all, which for a large model is half a gigabyte.
bool warm_up(swhisper_model &model, int32_t beams) {
  whisper_full_params parameters = whisper_full_default_params(WHISPER_SAMPLING_BEAM_SEARCH);
  parameters.n_threads = model.threads;
  parameters.print_progress = false;
  parameters.audio_ctx = 64;
  parameters.max_tokens = 1;
  parameters.single_segment = true;
  parameters.temperature_inc = 0;
  parameters.language = "en";
  parameters.greedy.best_of = fallback_candidates;
  parameters.beam_search.beam_size = std::min(std::max(beams, fallback_candidates), max_candidates);
  const std::vector<float> silence(WHISPER_SAMPLE_RATE, 0.0F);
  const int result = whisper_full_with_state(model.context, model.state, parameters, silence.data(),
                                             static_cast<int>(silence.size()));
  model.ended(result);
  return result == 0;
}

}  // namespace

swhisper_model::~swhisper_model() {
  if (state != nullptr) whisper_free_state(state);
  if (context != nullptr) whisper_free(context);
  malloc_trim(0);
}

bool swhisper_model::renew() {
  if (state != nullptr) whisper_free_state(state);
  backends.clear();
  const backend_collector collector(backends);
  state = whisper_init_state(context);
  return state != nullptr;
}

void swhisper_model::ended(int result) {
  // libwhisper has freed the state when its cache did not fit.
  if (result != -7) return;
  state = nullptr;
  backends.clear();
}

swhisper_voice::~swhisper_voice() {
  if (context != nullptr) whisper_vad_free(context);
}

swhisper_status swhisper_load(const char *path, const swhisper_load_options *options, swhisper_on_load progress,
                              void *context, swhisper_model **model, swhisper_error *error) try {
  const std::string name = base_name(path);
  source input;
  input.progress = progress;
  input.context = context;
  input.file = std::fopen(path, "rbe");
  if (input.file == nullptr) return fail(error, SWHISPER_BAD_INPUT, "The model file " + name + " cannot be opened.");
  fseeko(input.file, 0, SEEK_END);
  input.size = static_cast<uint64_t>(ftello(input.file));
  rewind(input.file);

  const uint64_t resident_before = resident_bytes();
  const uint64_t device_before = free_device_bytes();
  auto loaded = std::make_unique<swhisper_model>();
  loaded->threads = options->threads;
  whisper_context_params parameters = whisper_context_default_params();
  parameters.use_gpu = options->use_device;
  whisper_model_loader loader{
      &input, [](void *from, void *to, size_t count) { return static_cast<source *>(from)->next(to, count); },
      [](void *from) { return static_cast<source *>(from)->ended(); }, [](void *) {}};
  keep_errors();
  loaded->context = whisper_init_with_params_no_state(&loader, parameters);
  if (input.given_up) return fail(error, SWHISPER_CANCELLED, "The load of " + name + " was cancelled.");
  if (loaded->context == nullptr) return explain(name, take_errors(), error);
  if (!loaded->renew() || !warm_up(*loaded, options->beam_size)) {
    return fail(error, SWHISPER_RESOURCE,
                "There is not enough memory to compute with the model " + name +
                    ": unload others or choose a smaller one.");
  }
  if (progress != nullptr) progress(1, context);
  // Reserved for graphs and first touched by a job.
  const uint64_t graphs = options->use_device && swhisper_device() != nullptr ? 0 : take_graph_bytes();
  const uint64_t resident_after = resident_bytes();
  const uint64_t device_after = free_device_bytes();
  loaded->memory_bytes = graphs + (resident_after > resident_before ? resident_after - resident_before : 0);
  loaded->device_bytes = device_before > device_after ? device_before - device_after : 0;
  *model = loaded.release();
  return SWHISPER_OK;
} catch (const std::bad_alloc &) {
  return fail(error, SWHISPER_RESOURCE, "There is not enough memory to load the model.");
} catch (const std::exception &cause) {
  return fail(error, SWHISPER_FAULT, std::string("Loading the model failed: ") + cause.what());
}

void swhisper_free(swhisper_model *model) { delete model; }

swhisper_model_info swhisper_info(const swhisper_model *model) {
  return {whisper_is_multilingual(model->context) != 0, model->memory_bytes, model->device_bytes};
}

swhisper_status swhisper_voice_load(const char *path, swhisper_voice **voice, swhisper_error *error) try {
  auto loaded = std::make_unique<swhisper_voice>();
  whisper_vad_context_params parameters = whisper_vad_default_context_params();
  // Its graphs are so small that a second thread only waits, and a device even more.
  parameters.n_threads = 1;
  parameters.use_gpu = false;
  keep_errors();
  {
    const backend_collector collector(loaded->backends);
    loaded->context = whisper_vad_init_from_file_with_params(path, parameters);
  }
  if (loaded->context == nullptr) return explain(base_name(path), take_errors(), error);
  *voice = loaded.release();
  return SWHISPER_OK;
} catch (const std::bad_alloc &) {
  return fail(error, SWHISPER_RESOURCE, "There is not enough memory to load the voice activity model.");
} catch (const std::exception &cause) {
  return fail(error, SWHISPER_FAULT, std::string("Loading the voice activity model failed: ") + cause.what());
}

void swhisper_voice_free(swhisper_voice *voice) { delete voice; }
