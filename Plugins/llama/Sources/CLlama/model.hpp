#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "CLlama.h"
#include "chat.h"
#include "llama.h"

struct sampler_deleter {
  void operator()(llama_sampler *sampler) const { llama_sampler_free(sampler); }
};
using sampler_ptr = std::unique_ptr<llama_sampler, sampler_deleter>;

/// Tokens a batch. Cancellation is looked at between batches on devices, inside them on the processor; reuse of a
/// prompt's start is aligned to it (see `reusable_tokens`).
constexpr int32_t batch_tokens = 512;

struct sllama_model {
  llama_model *model = nullptr;
  llama_context *context = nullptr;
  const llama_vocab *vocab = nullptr;
  common_chat_templates_ptr templates;

  int32_t context_size = 0;
  int32_t longest_piece = 1;
  bool has_template = false;
  uint64_t device_bytes = 0;

  /// The prompt of the generation in progress, and how much of it is in the context.
  std::vector<llama_token> prompt;
  int32_t computed = 0;
  /// The tokens whose state the context holds from the last prompt; generated ones are not counted.
  std::vector<llama_token> cached;

  sllama_sampling sampling{};
  sampler_ptr sampler;
  sampler_ptr grammar;
  std::vector<llama_token_data> candidates;
  /// The token drawn last, not yet in the context.
  llama_token pending = LLAMA_TOKEN_NULL;
  std::string piece;
  /// Control tokens that must show up in the text because they delimit reasoning.
  std::vector<llama_token> visible;

  std::string reasoning_start;
  std::vector<std::string> reasoning_end;
  bool in_reasoning = false;

  sllama_is_cancelled is_cancelled = nullptr;
  void *cancel_context = nullptr;

  bool cancelled() const { return is_cancelled != nullptr && is_cancelled(cancel_context); }

  ~sllama_model();
};

/// Writes a sentence into `error`, cut at a character boundary, and returns `status`.
sllama_status fail(sllama_error *error, sllama_status status, const std::string &sentence);

/// The last component of a path, for messages.
std::string base_name(const char *path);

/// Starts remembering libllama's errors; `take_errors` returns them, oldest first, one a line.
void keep_errors();
std::string take_errors();
