// The floor that the llama engine is measured against: libllama called directly, with nothing around it.
//
//   bare_loop MODEL THREADS TOKENS CONTEXT [PROMPT]
//
// Evaluates the prompt in batches of 512, then draws TOKENS tokens greedily, converting each to text as any program
// would. Prints one JSON object: prompt_tokens, prompt_per_second, predicted_n, predicted_per_second, first_token_ms.
// The prompt is taken as it is, without a chat template, so pass one that is rendered already.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "llama.h"

static double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

int main(int count, char **arguments) {
  if (count < 5) {
    std::fprintf(stderr, "usage: bare_loop MODEL THREADS TOKENS CONTEXT [PROMPT]\n");
    return 64;
  }
  const int threads = std::atoi(arguments[2]);
  const int tokens = std::atoi(arguments[3]);
  const int context_size = std::atoi(arguments[4]);
  const std::string prompt = count > 5 ? arguments[5]
                                       : "<|im_start|>user\nWrite a long story about the sea.<|im_end|>\n"
                                         "<|im_start|>assistant\n";

  llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  llama_backend_init();
  llama_model *model = llama_model_load_from_file(arguments[1], llama_model_default_params());
  if (model == nullptr) {
    std::fprintf(stderr, "bare_loop: cannot load %s\n", arguments[1]);
    return 1;
  }
  llama_context_params parameters = llama_context_default_params();
  parameters.n_ctx = static_cast<uint32_t>(context_size);
  parameters.n_batch = 512;
  parameters.n_ubatch = 512;
  parameters.n_threads = threads;
  parameters.n_threads_batch = threads;
  llama_context *context = llama_init_from_model(model, parameters);
  if (context == nullptr) {
    std::fprintf(stderr, "bare_loop: no context of %d tokens\n", context_size);
    return 1;
  }
  const llama_vocab *vocab = llama_model_get_vocab(model);

  const auto start = std::chrono::steady_clock::now();
  std::vector<llama_token> input(prompt.size() + 8);
  const int32_t length = llama_tokenize(vocab, prompt.data(), static_cast<int32_t>(prompt.size()), input.data(),
                                        static_cast<int32_t>(input.size()), true, true);
  if (length <= 0 || length + tokens > context_size) {
    std::fprintf(stderr, "bare_loop: the prompt does not fit\n");
    return 1;
  }
  input.resize(static_cast<size_t>(length));
  for (int32_t done = 0; done < length; done += 512) {
    if (llama_decode(context, llama_batch_get_one(input.data() + done, std::min(512, length - done))) != 0) return 1;
  }
  const double prompt_ms = milliseconds_since(start);

  llama_sampler *sampler = llama_sampler_chain_init(llama_sampler_chain_default_params());
  llama_sampler_chain_add(sampler, llama_sampler_init_greedy());
  const auto generating = std::chrono::steady_clock::now();
  double first_token_ms = 0;
  std::string text;
  int predicted = 0;
  while (predicted < tokens) {
    llama_token token = llama_sampler_sample(sampler, context, -1);
    if (llama_vocab_is_eog(vocab, token)) break;
    char piece[256];
    const int32_t bytes = llama_token_to_piece(vocab, token, piece, sizeof piece, 0, false);
    if (bytes > 0) text.append(piece, static_cast<size_t>(bytes));
    if (predicted++ == 0) first_token_ms = milliseconds_since(start);
    if (predicted < tokens && llama_decode(context, llama_batch_get_one(&token, 1)) != 0) return 1;
  }
  const double predicted_ms = milliseconds_since(generating);
  std::printf(
      "{\"prompt_tokens\":%d,\"prompt_per_second\":%.3f,\"predicted_n\":%d,\"predicted_per_second\":%.3f,"
      "\"first_token_ms\":%.3f,\"text_bytes\":%zu}\n",
      length, length / prompt_ms * 1000, predicted, predicted / predicted_ms * 1000, first_token_ms, text.size());
  llama_sampler_free(sampler);
  llama_free(context);
  llama_model_free(model);
  return 0;
}
