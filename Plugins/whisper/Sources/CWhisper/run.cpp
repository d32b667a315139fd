#include <algorithm>
#include <exception>
#include <memory>
#include <new>

#include "model.hpp"

namespace {

/// A call in progress, as libwhisper's callbacks get it.
struct running {
  const swhisper_callbacks &callbacks;
  bool words;
  std::vector<swhisper_token> tokens;
  /// Thrown through libwhisper, an exception would leave its locks held.
  bool out_of_memory = false;
};

void on_segments(whisper_context *context, whisper_state *state, int count, void *user_data) {
  auto &call = *static_cast<running *>(user_data);
  const int end = whisper_full_n_segments_from_state(state);
  for (int index = std::max(0, end - count); index < end && !call.out_of_memory; index++) {
    swhisper_segment segment{};
    segment.text = whisper_full_get_segment_text_from_state(state, index);
    segment.start = whisper_full_get_segment_t0_from_state(state, index);
    segment.end = whisper_full_get_segment_t1_from_state(state, index);
    if (call.words) {
      try {
        call.tokens.clear();
        for (int token = 0; token < whisper_full_n_tokens_from_state(state, index); token++) {
          const whisper_token_data data = whisper_full_get_token_data_from_state(state, index, token);
          // What follows the text tokens is times and commands.
          if (data.id >= whisper_token_eot(context)) continue;
          call.tokens.push_back(
              {whisper_full_get_token_text_from_state(context, state, index, token), data.t0, data.t1, data.p});
        }
      } catch (const std::bad_alloc &) {
        call.out_of_memory = true;
        return;
      }
      segment.tokens = call.tokens.data();
      segment.token_count = call.tokens.size();
    }
    call.callbacks.on_segment(&segment, call.callbacks.context);
  }
}

}  // namespace

swhisper_status swhisper_run(swhisper_model *model, const float *samples, size_t count,
                             const swhisper_run_options *options, const swhisper_callbacks *callbacks,
                             const char **language, swhisper_error *error) try {
  const bool follows_beams = options->beam_size > 1;
  whisper_full_params parameters =
      whisper_full_default_params(follows_beams ? WHISPER_SAMPLING_BEAM_SEARCH : WHISPER_SAMPLING_GREEDY);
  running call{*callbacks, options->words, {}};
  parameters.n_threads = model->threads;
  parameters.print_progress = false;
  parameters.print_timestamps = false;
  parameters.greedy.best_of = fallback_candidates;
  if (follows_beams) parameters.beam_search.beam_size = std::min(options->beam_size, max_candidates);
  parameters.translate = options->translate;
  parameters.token_timestamps = options->words;
  parameters.initial_prompt = options->prompt;
  parameters.no_context = !options->goes_on;
  parameters.duration_ms = options->covered_ms;
  parameters.language =
      whisper_is_multilingual(model->context) == 0 ? "en" : (options->language != nullptr ? options->language : "auto");
  parameters.new_segment_callback = on_segments;
  parameters.new_segment_callback_user_data = &call;
  parameters.progress_callback = [](whisper_context *, whisper_state *, int percent, void *user_data) {
    const swhisper_callbacks &callbacks = static_cast<running *>(user_data)->callbacks;
    callbacks.on_progress(std::min(1.0, percent / 100.0), callbacks.context);
  };
  parameters.progress_callback_user_data = &call;
  parameters.abort_callback = should_abort;
  parameters.abort_callback_user_data = &model->cancel;

  if (!options->goes_on && !model->renew()) {
    return fail(error, SWHISPER_RESOURCE, "There is not enough memory to transcribe with this model: unload others.");
  }
  if (model->state == nullptr) return fail(error, SWHISPER_FAULT, "The call before this one has failed.");
  keep_errors();
  int result = 0;
  {
    const abort_guard guard(model->backends, model->cancel, {callbacks->is_cancelled, callbacks->context});
    result = whisper_full_with_state(model->context, model->state, parameters, samples, static_cast<int>(count));
    model->ended(result);
    if (model->cancel.requested()) return fail(error, SWHISPER_CANCELLED, "The job was cancelled.");
  }
  if (result == -7) return fail(error, SWHISPER_RESOURCE, "There is not enough memory for whisper's caches.");
  if (call.out_of_memory) return fail(error, SWHISPER_RESOURCE, "There is not enough memory for the transcript.");
  if (result != 0) {
    const std::string cause = take_errors();
    return fail(error, SWHISPER_FAULT,
                "whisper.cpp could not transcribe the audio (" + std::to_string(result) + ")" +
                    (cause.empty() ? "." : ": " + cause.substr(0, cause.find('\n'))));
  }
  *language = whisper_is_multilingual(model->context) == 0
                  ? "en"
                  : whisper_lang_str(whisper_full_lang_id_from_state(model->state));
  return SWHISPER_OK;
} catch (const std::bad_alloc &) {
  return fail(error, SWHISPER_RESOURCE, "There is not enough memory to transcribe the audio.");
} catch (const std::exception &cause) {
  return fail(error, SWHISPER_FAULT, std::string("Transcribing failed: ") + cause.what());
}

swhisper_status swhisper_voice_find(swhisper_voice *voice, const float *samples, size_t count,
                                    swhisper_is_cancelled is_cancelled,
                                    void (*on_speech)(size_t start, size_t end, void *context), void *context,
                                    swhisper_error *error) try {
  struct segments_deleter {
    void operator()(whisper_vad_segments *segments) const { whisper_vad_free_segments(segments); }
  };
  const abort_guard guard(voice->backends, voice->cancel, {is_cancelled, context});
  const std::unique_ptr<whisper_vad_segments, segments_deleter> found(whisper_vad_segments_from_samples(
      voice->context, whisper_vad_default_params(), samples, static_cast<int>(count)));
  if (voice->cancel.requested()) return fail(error, SWHISPER_CANCELLED, "The job was cancelled.");
  if (!found) return fail(error, SWHISPER_FAULT, "whisper.cpp could not look for voices in the audio.");
  // Its times are hundredths of a second.
  const auto sample = [&](float time) {
    return std::min(count, static_cast<size_t>(std::max(0.0F, time) * (WHISPER_SAMPLE_RATE / 100.0F)));
  };
  for (int index = 0; index < whisper_vad_segments_n_segments(found.get()); index++) {
    const size_t start = sample(whisper_vad_segments_get_segment_t0(found.get(), index));
    const size_t end = sample(whisper_vad_segments_get_segment_t1(found.get(), index));
    if (start < end) on_speech(start, end, context);
  }
  return SWHISPER_OK;
} catch (const std::bad_alloc &) {
  return fail(error, SWHISPER_RESOURCE, "There is not enough memory to look for voices in the audio.");
} catch (const std::exception &cause) {
  return fail(error, SWHISPER_FAULT, std::string("Looking for voices failed: ") + cause.what());
}
