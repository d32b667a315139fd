// The two loops that take the time: the prompt in batches, then one token after another.
#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <new>

#include "model.hpp"

std::string common_token_to_piece(const llama_vocab *vocab, llama_token token, bool special);

namespace {

/// Tokens less likely than e^-24 of the likeliest are left out of the draw: of a vocabulary of 200,000 all of them
/// together weigh less than 1e-5, and sorting and exponentiating them would take longer than everything else here.
constexpr float negligible = 24;

constexpr float lowest = -std::numeric_limits<float>::infinity();

/// Values looked at together, so that the compiler uses vector instructions.
constexpr int32_t lanes = 16;

/// Evaluates tokens. After a failure nothing of the context is trusted any more.
sllama_status decode(sllama_model &model, llama_token *tokens, int32_t count, sllama_error *error) {
  const int32_t result =
      model.cancelled() ? 2 : llama_decode(model.context, llama_batch_get_one(tokens, count));
  if (result == 0) return SLLAMA_OK;
  model.cached.clear();
  if (result == 2) return fail(error, SLLAMA_CANCELLED, "The job was cancelled.");
  if (result == 1) return fail(error, SLLAMA_RESOURCE, "The model's context is full.");
  const std::string cause = take_errors();
  return fail(error, SLLAMA_FAULT,
              "llama.cpp could not evaluate the model (" + std::to_string(result) + ")" +
                  (cause.empty() ? "." : ": " + cause.substr(0, cause.find('\n'))));
}

/// The likeliest token, or none when no logit is a number.
llama_token likeliest(const float *logits, int32_t count) {
  float best[lanes];
  std::fill(best, best + lanes, lowest);
  int32_t index = 0;
  for (; index + lanes <= count; index += lanes) {
    for (int32_t lane = 0; lane < lanes; lane++) {
      const float value = logits[index + lane];
      best[lane] = value > best[lane] ? value : best[lane];
    }
  }
  for (; index < count; index++) best[0] = std::max(best[0], logits[index]);
  const float greatest = *std::max_element(best, best + lanes);
  const float *found = std::find(logits, logits + count, greatest);
  return found == logits + count ? LLAMA_TOKEN_NULL : static_cast<llama_token>(found - logits);
}

/// Fills the candidates with every token whose logit is at least `least`.
llama_token_data_array fill(sllama_model &model, const float *logits, int32_t count, float least) {
  model.candidates.resize(static_cast<size_t>(count));
  llama_token_data *out = model.candidates.data();
  for (int32_t index = 0; index < count; index += lanes) {
    const int32_t end = std::min(index + lanes, count);
    if (end - index == lanes) {
      int32_t some = 0;
      for (int32_t lane = 0; lane < lanes; lane++) some |= logits[index + lane] >= least ? 1 : 0;
      if (some == 0) continue;
    }
    for (llama_token token = index; token < end; token++) {
      if (logits[token] >= least) *out++ = llama_token_data{token, logits[token], 0};
    }
  }
  return {model.candidates.data(), static_cast<size_t>(out - model.candidates.data()), -1, false};
}

llama_token draw(sllama_model &model, llama_token_data_array &candidates) {
  if (!model.sampler) {
    const auto best = std::max_element(
        candidates.data, candidates.data + candidates.size,
        [](const llama_token_data &left, const llama_token_data &right) { return left.logit < right.logit; });
    return best->id;
  }
  llama_sampler_apply(model.sampler.get(), &candidates);
  return candidates.selected >= 0 ? candidates.data[candidates.selected].id : LLAMA_TOKEN_NULL;
}

bool allowed(sllama_model &model, llama_token token) {
  llama_token_data single{token, 1, 0};
  llama_token_data_array candidates{&single, 1, -1, false};
  llama_sampler_apply(model.grammar.get(), &candidates);
  return std::isfinite(single.logit);
}

/// The grammar is asked about the token that would have been drawn, and about the whole vocabulary only when that one
/// does not fit: it almost always fits, and the whole takes longer than evaluating a small model.
llama_token sample(sllama_model &model, bool constrained) {
  const float *logits = llama_get_logits_ith(model.context, -1);
  if (logits == nullptr) return LLAMA_TOKEN_NULL;
  const int32_t count = llama_vocab_n_tokens(model.vocab);
  llama_token token = likeliest(logits, count);
  if (token == LLAMA_TOKEN_NULL) return token;
  if (model.sampler) {
    // top_p counts probabilities before the temperature is applied.
    const float temperature = model.sampling.temperature;
    const float scale = model.sampling.top_p < 1 ? std::max(1.0F, temperature) : temperature;
    llama_token_data_array candidates = fill(model, logits, count, logits[token] - negligible * scale);
    token = draw(model, candidates);
  }
  if (!constrained || !model.grammar || token == LLAMA_TOKEN_NULL || allowed(model, token)) return token;
  llama_token_data_array candidates = fill(model, logits, count, lowest);
  llama_sampler_apply(model.grammar.get(), &candidates);
  llama_token_data *end = std::remove_if(candidates.data, candidates.data + candidates.size,
                                         [](const llama_token_data &item) { return !std::isfinite(item.logit); });
  candidates.size = static_cast<size_t>(end - candidates.data);
  if (candidates.size == 0) return LLAMA_TOKEN_NULL;
  return draw(model, candidates);
}

}  // namespace

sllama_status sllama_prefill(sllama_model *model, int32_t *computed, sllama_error *error) try {
  keep_errors();
  const int32_t count = static_cast<int32_t>(model->prompt.size());
  const int32_t batch = std::min(batch_tokens, count - model->computed);
  if (batch > 0) {
    const sllama_status status = decode(*model, model->prompt.data() + model->computed, batch, error);
    if (status != SLLAMA_OK) return status;
    model->computed += batch;
    model->cached.assign(model->prompt.begin(), model->prompt.begin() + model->computed);
  }
  *computed = model->computed;
  return SLLAMA_OK;
} catch (const std::bad_alloc &) {
  model->cached.clear();
  return fail(error, SLLAMA_RESOURCE, "There is not enough memory to compute the prompt.");
} catch (const std::exception &cause) {
  model->cached.clear();
  return fail(error, SLLAMA_FAULT, std::string("Computing the prompt failed: ") + cause.what());
}

sllama_status sllama_next(sllama_model *model, bool constrained, const char **piece, size_t *piece_length, bool *ended,
                          sllama_error *error) try {
  *piece = "";
  *piece_length = 0;
  *ended = false;
  if (model->pending != LLAMA_TOKEN_NULL) {
    const sllama_status status = decode(*model, &model->pending, 1, error);
    if (status != SLLAMA_OK) return status;
    model->pending = LLAMA_TOKEN_NULL;
  }
  const llama_token token = sample(*model, constrained);
  if (token == LLAMA_TOKEN_NULL) {
    return fail(error, SLLAMA_FAULT, "No token fits: the model's output is not a number, or the schema has no way on.");
  }
  if (llama_vocab_is_eog(model->vocab, token)) {
    *ended = true;
    return SLLAMA_OK;
  }
  if (constrained && model->grammar) llama_sampler_accept(model->grammar.get(), token);
  const bool special = std::find(model->visible.begin(), model->visible.end(), token) != model->visible.end();
  model->piece = common_token_to_piece(model->vocab, token, special);
  model->pending = token;
  *piece = model->piece.data();
  *piece_length = model->piece.size();
  return SLLAMA_OK;
} catch (const std::bad_alloc &) {
  return fail(error, SLLAMA_RESOURCE, "There is not enough memory to go on.");
} catch (const std::exception &cause) {
  return fail(error, SLLAMA_FAULT, std::string("Generating failed: ") + cause.what());
}
