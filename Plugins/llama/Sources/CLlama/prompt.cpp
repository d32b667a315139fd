// From messages to tokens: the chat template, the grammar and the check that the prompt fits.
#include <algorithm>
#include <exception>
#include <new>

#include "json-schema-to-grammar.h"
#include "json.h"
#include "model.hpp"

std::vector<llama_token> common_tokenize(const llama_vocab *vocab, const std::string &text, bool add_special,
                                         bool parse_special);

namespace {

/// The request was fine but what it asks for was refused; the sentence is for the caller.
struct refused {
  sllama_status status;
  std::string sentence;
};

std::string too_long(const std::string &tokens, int32_t context_size) {
  return "The prompt has " + tokens + " tokens, but the model's context holds " + std::to_string(context_size) +
         " with at least one for the answer: shorten the prompt or raise contextSize.";
}

/// Refuses a prompt that cannot fit whatever its tokens are, before any work that grows with it.
///
/// No token stands for more bytes than the longest of the vocabulary; that holds for the vocabularies that do not
/// normalise text away.
void check_bytes(const sllama_model &model, size_t bytes) {
  const auto type = llama_vocab_type(model.vocab);
  if (type != LLAMA_VOCAB_TYPE_BPE && type != LLAMA_VOCAB_TYPE_SPM) return;
  const size_t least = bytes / static_cast<size_t>(model.longest_piece);
  if (least >= static_cast<size_t>(model.context_size)) {
    throw refused{SLLAMA_BAD_INPUT, too_long("at least " + std::to_string(least), model.context_size)};
  }
}

sampler_ptr make_grammar(const sllama_model &model, const common_json &schema) {
  std::string text;
  try {
    text = json_schema_to_grammar(schema);
  } catch (const std::exception &cause) {
    throw refused{SLLAMA_BAD_INPUT, std::string("task.jsonSchema cannot be used: ") + cause.what()};
  }
  keep_errors();
  sampler_ptr grammar(llama_sampler_init_grammar(model.vocab, text.c_str(), "root"));
  if (!grammar) {
    throw refused{SLLAMA_BAD_INPUT, "task.jsonSchema is too large or too complex for a grammar: simplify it. " +
                                        take_errors().substr(0, 200)};
  }
  return grammar;
}

/// Whether `prompt` ends inside a reasoning block that its template opened.
bool ends_in_reasoning(const std::string &prompt, const sllama_model &model) {
  // Only the template's own ending counts: a user may well write "<think>".
  const size_t length = std::min<size_t>(prompt.size(), model.reasoning_start.size() + 16);
  const std::string tail = prompt.substr(prompt.size() - length);
  const size_t start = tail.rfind(model.reasoning_start);
  if (start == std::string::npos) return false;
  return tail.find_first_not_of(" \t\r\n", start + model.reasoning_start.size()) == std::string::npos;
}

common_chat_params render(const sllama_model &model, const common_json &request) {
  common_chat_templates_inputs inputs;
  size_t bytes = 0;
  const common_json &messages = request.at("messages");
  for (size_t index = 0; index < messages.size(); index++) {
    common_chat_msg message;
    message.role = messages.at(index).at("role").get<std::string>();
    message.content = messages.at(index).at("content").get<std::string>();
    bytes += message.content.size();
    inputs.messages.push_back(std::move(message));
  }
  check_bytes(model, bytes);
  inputs.add_generation_prompt = true;
  inputs.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
  inputs.enable_thinking = request.at("thinking").get<bool>();
  for (const auto &[name, value] : request.at("variables").items()) inputs.chat_template_kwargs[name] = value.dump();
  try {
    return common_chat_templates_apply(model.templates.get(), inputs);
  } catch (const std::bad_alloc &) {
    throw;
  } catch (const std::exception &cause) {
    throw refused{SLLAMA_BAD_INPUT, std::string("The model's chat template refuses these messages: ") + cause.what()};
  }
}

/// How much of the state of the prompt before can stand in for computing the new one, exactly.
///
/// A token's state depends, in its last bits, on the batch it was computed in. Whole batches of equal tokens are
/// therefore taken over and nothing else, so that a job's text does not depend on the job before it. Models whose
/// state cannot be cut at a position start anew.
int32_t reusable_tokens(const sllama_model &model) {
  if (llama_model_is_recurrent(model.model) || llama_model_is_hybrid(model.model) ||
      llama_model_n_swa(model.model) > 0) {
    return 0;
  }
  const size_t limit = std::min(model.cached.size(), model.prompt.size() - 1);
  size_t common = 0;
  while (common < limit && model.cached[common] == model.prompt[common]) common++;
  return static_cast<int32_t>(common) / batch_tokens * batch_tokens;
}

sampler_ptr make_sampler(const sllama_sampling &sampling) {
  if (sampling.temperature <= 0) return nullptr;
  llama_sampler_chain_params parameters = llama_sampler_chain_default_params();
  parameters.no_perf = true;
  sampler_ptr chain(llama_sampler_chain_init(parameters));
  if (sampling.top_p < 1) llama_sampler_chain_add(chain.get(), llama_sampler_init_top_p(sampling.top_p, 1));
  llama_sampler_chain_add(chain.get(), llama_sampler_init_temp(sampling.temperature));
  llama_sampler_chain_add(chain.get(), llama_sampler_init_dist(sampling.seed));
  return chain;
}

void prepare(sllama_model &model, const common_json &request) {
  const common_chat_params chat = render(model, request);
  model.reasoning_start = chat.thinking_start_tag.empty() ? "<think>" : chat.thinking_start_tag;
  model.reasoning_end = chat.thinking_end_tags;
  if (model.reasoning_end.empty()) model.reasoning_end = {"</think>"};
  // OpenAI's channel format goes from one channel to the other by a whole header, all of which must stay hidden.
  if (model.reasoning_start.rfind("<|channel|>", 0) == 0) {
    model.reasoning_end = {"<|end|><|start|>assistant<|channel|>final<|message|>"};
  }
  if (model.reasoning_end.size() > SLLAMA_MAX_TAGS) model.reasoning_end.resize(SLLAMA_MAX_TAGS);
  model.in_reasoning = ends_in_reasoning(chat.prompt, model);
  model.visible.clear();
  for (const std::string &text : chat.preserved_tokens) {
    const std::vector<llama_token> tokens = common_tokenize(model.vocab, text, false, true);
    if (tokens.size() == 1) model.visible.push_back(tokens[0]);
  }
  model.prompt = common_tokenize(model.vocab, chat.prompt, true, true);
  if (model.prompt.empty()) throw refused{SLLAMA_BAD_INPUT, "The prompt is empty: write at least one message."};
  if (model.prompt.size() >= static_cast<size_t>(model.context_size)) {
    throw refused{SLLAMA_BAD_INPUT, too_long(std::to_string(model.prompt.size()), model.context_size)};
  }
  if (request.contains("schema")) model.grammar = make_grammar(model, request.at("schema"));
  model.sampler = make_sampler(model.sampling);
}

}  // namespace

sllama_status sllama_begin(sllama_model *model, const char *request, size_t request_length,
                           const sllama_sampling *sampling, sllama_is_cancelled is_cancelled, void *context,
                           sllama_prompt *prompt, sllama_error *error) try {
  sllama_end(model);
  model->sampling = *sampling;
  const common_json parsed = common_json::parse(std::string(request, request_length));
  prepare(*model, parsed);

  model->computed = reusable_tokens(*model);
  llama_memory_t memory = llama_get_memory(model->context);
  if (model->computed == 0 || !llama_memory_seq_rm(memory, 0, model->computed, -1)) {
    model->computed = 0;
    llama_memory_clear(memory, /*data=*/false);
  }
  model->cached.resize(static_cast<size_t>(model->computed));
  model->pending = LLAMA_TOKEN_NULL;
  model->is_cancelled = is_cancelled;
  model->cancel_context = context;

  *prompt = sllama_prompt{};
  prompt->prompt_tokens = static_cast<int32_t>(model->prompt.size());
  prompt->context_size = model->context_size;
  prompt->reused_tokens = model->computed;
  prompt->in_reasoning = model->in_reasoning;
  prompt->reasoning_start = model->reasoning_start.c_str();
  for (const std::string &tag : model->reasoning_end) {
    prompt->reasoning_end[prompt->reasoning_end_count++] = tag.c_str();
  }
  return SLLAMA_OK;
} catch (const refused &cause) {
  return fail(error, cause.status, cause.sentence);
} catch (const std::bad_alloc &) {
  return fail(error, SLLAMA_RESOURCE, "There is not enough memory for this prompt.");
} catch (const std::exception &cause) {
  return fail(error, SLLAMA_FAULT, std::string("Preparing the prompt failed: ") + cause.what());
}

void sllama_end(sllama_model *model) {
  model->is_cancelled = nullptr;
  model->cancel_context = nullptr;
  model->sampler.reset();
  model->grammar.reset();
}
