#include <algorithm>
#include <cstring>
#include <exception>
#include <new>

#include "ggml-backend.h"
#include "model.hpp"

namespace {

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

struct load_progress {
  sllama_on_progress report;
  void *context;
  bool given_up = false;
};

bool on_progress(float fraction, void *context) {
  auto *progress = static_cast<load_progress *>(context);
  if (!progress->report(fraction, progress->context)) progress->given_up = true;
  return !progress->given_up;
}

bool should_abort(void *context) { return static_cast<const sllama_model *>(context)->cancelled(); }

bool has(const std::string &text, const char *part) { return text.find(part) != std::string::npos; }

/// Turns what libllama logged about a failed load into a class and a sentence.
sllama_status explain(const std::string &name, const std::string &errors, sllama_error *error) {
  const std::string version = std::string("llama.cpp ") + llama_version();
  const size_t architecture = errors.find("unknown model architecture: ");
  if (architecture != std::string::npos) {
    const size_t start = architecture + std::strlen("unknown model architecture: ");
    return fail(error, SLLAMA_UNSUPPORTED,
                "The model " + name + " has the architecture " +
                    errors.substr(start, errors.find('\n', start) - start) + ", which " + version +
                    " does not know: use another model or a newer engine.");
  }
  if (has(errors, "failed to allocate") || has(errors, "unable to allocate") || has(errors, "out of memory")) {
    return fail(error, SLLAMA_RESOURCE,
                "There is not enough memory for the model " + name + ": unload others or choose a smaller one.");
  }
  const std::string first = errors.substr(0, errors.find('\n'));
  return fail(error, SLLAMA_BAD_INPUT,
              version + " could not load " + name + (first.empty() ? "." : ": " + first));
}

int32_t longest_piece(const llama_vocab *vocab) {
  int32_t longest = 1;
  for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); token++) {
    const char *text = llama_vocab_get_text(vocab, token);
    if (text != nullptr) longest = std::max(longest, static_cast<int32_t>(std::strlen(text)));
  }
  return longest;
}

}  // namespace

sllama_model::~sllama_model() {
  sampler.reset();
  grammar.reset();
  templates.reset();
  if (context != nullptr) llama_free(context);
  if (model != nullptr) llama_model_free(model);
}

sllama_status sllama_load(const char *const *paths, size_t path_count, const sllama_load_options *options,
                          sllama_on_progress progress, void *context, sllama_model **model, sllama_error *error) try {
  const std::string name = base_name(paths[0]);
  load_progress reporting{progress, context};
  auto loaded = std::make_unique<sllama_model>();
  const uint64_t free_before = free_device_bytes();

  llama_model_params parameters = llama_model_default_params();
  parameters.n_gpu_layers = options->gpu_layers;
  parameters.load_mode = options->use_mmap ? LLAMA_LOAD_MODE_AUTO : LLAMA_LOAD_MODE_NONE;
  parameters.progress_callback = on_progress;
  parameters.progress_callback_user_data = &reporting;
  keep_errors();
  if (path_count == 1) {
    loaded->model = llama_model_load_from_file(paths[0], parameters);
  } else {
    std::vector<const char *> parts(paths, paths + path_count);
    loaded->model = llama_model_load_from_splits(parts.data(), parts.size(), parameters);
  }
  if (reporting.given_up) return fail(error, SLLAMA_CANCELLED, "The load of " + name + " was cancelled.");
  if (loaded->model == nullptr) return explain(name, take_errors(), error);

  loaded->vocab = llama_model_get_vocab(loaded->model);
  if (!llama_model_has_decoder(loaded->model) || llama_model_has_encoder(loaded->model) ||
      llama_model_is_diffusion(loaded->model) || llama_vocab_type(loaded->vocab) == LLAMA_VOCAB_TYPE_NONE) {
    return fail(error, SLLAMA_UNSUPPORTED,
                "The model " + name + " does not generate text token by token: choose a chat model.");
  }
  loaded->context_size = std::min(options->context_size, llama_model_n_ctx_train(loaded->model));
  loaded->longest_piece = longest_piece(loaded->vocab);

  llama_context_params settings = llama_context_default_params();
  settings.n_ctx = static_cast<uint32_t>(loaded->context_size);
  settings.n_batch = batch_tokens;
  settings.n_ubatch = batch_tokens;
  settings.n_threads = options->threads;
  settings.n_threads_batch = options->threads;
  settings.abort_callback = should_abort;
  settings.abort_callback_data = loaded.get();
  settings.no_perf = true;
  keep_errors();
  loaded->context = llama_init_from_model(loaded->model, settings);
  if (loaded->context == nullptr) {
    return fail(error, SLLAMA_RESOURCE,
                "A context of " + std::to_string(loaded->context_size) + " tokens does not fit into memory with " +
                    name + ": lower contextSize.");
  }
  const uint64_t free_after = free_device_bytes();
  loaded->device_bytes = free_before > free_after ? free_before - free_after : 0;

  loaded->has_template = llama_model_chat_template(loaded->model, nullptr) != nullptr;
  try {
    loaded->templates = common_chat_templates_init(loaded->model, "");
  } catch (const std::exception &cause) {
    return fail(error, SLLAMA_UNSUPPORTED,
                "The chat template inside " + name + " cannot be read: " + cause.what());
  }
  *model = loaded.release();
  return SLLAMA_OK;
} catch (const std::bad_alloc &) {
  return fail(error, SLLAMA_RESOURCE, "There is not enough memory to load the model.");
} catch (const std::exception &cause) {
  return fail(error, SLLAMA_FAULT, std::string("Loading the model failed: ") + cause.what());
}

void sllama_free(sllama_model *model) { delete model; }

sllama_model_info sllama_info(const sllama_model *model) {
  const uint64_t heads = static_cast<uint64_t>(std::max(1, llama_model_n_head(model->model)));
  const uint64_t head_size = static_cast<uint64_t>(llama_model_n_embd(model->model)) / heads;
  // Keys and values, two bytes a number: libllama's default F16 cache.
  const uint64_t cache = 2 * 2 * static_cast<uint64_t>(model->context_size) *
                         static_cast<uint64_t>(llama_model_n_layer(model->model)) *
                         static_cast<uint64_t>(llama_model_n_head_kv(model->model)) * head_size;
  sllama_model_info info{};
  info.context_size = model->context_size;
  info.training_context = llama_model_n_ctx_train(model->model);
  info.memory_bytes = llama_model_size(model->model) + cache;
  info.device_bytes = model->device_bytes;
  info.has_template = model->has_template;
  return info;
}
