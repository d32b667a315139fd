/// The part of libllama that the engine needs, behind a C interface without exceptions or C++ types.
///
/// One model has one context and runs one generation at a time: `sllama_begin`, `sllama_prefill`, then `sllama_next`
/// until it says that the text ended. None of the functions may be called for one model from two threads at once.
/// Strings are UTF-8. Every function that can fail returns a status and writes one sentence into `error`.
#ifndef STOKER_CLLAMA_H
#define STOKER_CLLAMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What kind of failure it was: the error classes of the engine protocol.
typedef enum {
  SLLAMA_OK = 0,
  SLLAMA_BAD_INPUT = 1,
  SLLAMA_UNSUPPORTED = 2,
  SLLAMA_RESOURCE = 3,
  SLLAMA_FAULT = 4,
  SLLAMA_CANCELLED = 5,
} sllama_status;

/// One sentence for a person, ended by NUL, cut at a character boundary.
typedef struct {
  char text[1024];
} sllama_error;

/// A loaded model with its context.
typedef struct sllama_model sllama_model;

/// Asked often and from any thread while libllama computes; true makes the call in progress return
/// `SLLAMA_CANCELLED`. Must be cheap.
typedef bool (*sllama_is_cancelled)(void *context);
/// Called while a model loads with 0...1; false gives the load up.
typedef bool (*sllama_on_progress)(float fraction, void *context);
/// One line of libllama's log without its line break: level 0 debug, 1 information, 2 warning, 3 error.
typedef void (*sllama_on_log)(int32_t level, const char *text);

/// Sets up libllama. Call once, before anything else.
void sllama_start(sllama_on_log log);

/// libllama's version, a static string.
const char *sllama_version(void);

/// The first device that models are offloaded to ("CUDA0", "Vulkan0"), or NULL when there is only the processor.
/// Valid as long as the process.
const char *sllama_device(void);

/// Checks that `path` is a GGUF file whose header parses and whose tensors all lie inside the file.
sllama_status sllama_inspect(const char *path, sllama_error *error);

typedef struct {
  /// Tokens of context wanted; the model's training context caps it.
  int32_t context_size;
  /// Threads that compute, at least 1.
  int32_t threads;
  /// Layers to keep on the device; negative for all of them.
  int32_t gpu_layers;
  /// Map the file instead of reading it.
  bool use_mmap;
} sllama_load_options;

/// Loads a model from one file, or from the parts of a split one in order.
sllama_status sllama_load(const char *const *paths, size_t path_count, const sllama_load_options *options,
                          sllama_on_progress progress, void *context, sllama_model **model, sllama_error *error);

/// Gives the model's memory back. NULL is allowed.
void sllama_free(sllama_model *model);

typedef struct {
  int32_t context_size;
  int32_t training_context;
  /// Weights and key-value cache.
  uint64_t memory_bytes;
  /// What the load took from the devices; 0 when everything is in main memory.
  uint64_t device_bytes;
  /// False when the file has no chat template and ChatML stands in.
  bool has_template;
} sllama_model_info;

sllama_model_info sllama_info(const sllama_model *model);

typedef struct {
  /// 0 or below picks the likeliest token.
  float temperature;
  /// At or above 1 keeps every token.
  float top_p;
  uint32_t seed;
} sllama_sampling;

#define SLLAMA_MAX_TAGS 4

typedef struct {
  int32_t prompt_tokens;
  int32_t context_size;
  /// Tokens at the start of the prompt whose state is still there from the job before.
  int32_t reused_tokens;
  /// The prompt ends inside a reasoning block: the first text generated is reasoning.
  bool in_reasoning;
  /// What opens and closes reasoning in this model's output. Valid until the next `sllama_begin`.
  const char *reasoning_start;
  const char *reasoning_end[SLLAMA_MAX_TAGS];
  size_t reasoning_end_count;
} sllama_prompt;

/// Renders the chat template, tokenises the prompt and prepares the sampler.
///
/// `request` is a JSON object: `messages` [{role, content}], `thinking` boolean, `variables` object (for the template),
/// `schema` (a JSON Schema, optional). A prompt that does not fit is `SLLAMA_BAD_INPUT` and names both sizes.
/// `is_cancelled` and `context` stay in use until the next `sllama_begin` or `sllama_end`.
sllama_status sllama_begin(sllama_model *model, const char *request, size_t request_length,
                           const sllama_sampling *sampling, sllama_is_cancelled is_cancelled, void *context,
                           sllama_prompt *prompt, sllama_error *error);

/// Computes the next batch of the prompt; `computed` says how far it is. Once that is the whole prompt the first token
/// can be drawn.
sllama_status sllama_prefill(sllama_model *model, int32_t *computed, sllama_error *error);

/// Draws the next token. `piece` points at its bytes, which may begin or end inside a character and stay valid until
/// the next call; `ended` is set instead when the model ended its turn.
/// `constrained` says whether the schema's grammar binds this token.
sllama_status sllama_next(sllama_model *model, bool constrained, const char **piece, size_t *piece_length, bool *ended,
                          sllama_error *error);

/// Forgets the callbacks and the sampler of the generation. Harmless at any time.
void sllama_end(sllama_model *model);

#ifdef __cplusplus
}
#endif

#endif
