// The floor that the whisper engine is measured against: libwhisper called directly, with nothing around it.
//
//   bare_loop MODEL THREADS BEAMS FILE.wav ROUNDS
//
// FILE must be WAV with 16-bit mono samples at 16 kHz and a header of 44 bytes. Waits for a line on stdin before each
// round, transcribes the file with whisper-cli's parameters, and prints one JSON object a round: audio_ms, elapsed_ms, text.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "whisper.h"

static std::vector<float> samples_of(const char *path) {
  std::vector<float> samples;
  FILE *file = std::fopen(path, "rb");
  if (file == nullptr || std::fseek(file, 44, SEEK_SET) != 0) return samples;
  int16_t value = 0;
  while (std::fread(&value, sizeof value, 1, file) == 1) samples.push_back(static_cast<float>(value) / 32768.0F);
  std::fclose(file);
  return samples;
}

int main(int count, char **arguments) {
  if (count < 6) {
    std::fprintf(stderr, "usage: bare_loop MODEL THREADS BEAMS FILE.wav ROUNDS\n");
    return 64;
  }
  const int beams = std::atoi(arguments[3]);
  const int rounds = std::atoi(arguments[5]);
  whisper_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  whisper_context_params settings = whisper_context_default_params();
  settings.use_gpu = false;
  whisper_context *context = whisper_init_from_file_with_params_no_state(arguments[1], settings);
  if (context == nullptr) {
    std::fprintf(stderr, "bare_loop: cannot load %s\n", arguments[1]);
    return 1;
  }
  for (int round = 0; round < rounds && std::getchar() != EOF; round++) {
    const auto start = std::chrono::steady_clock::now();
    const std::vector<float> samples = samples_of(arguments[4]);
    // As in a process that is new: the random numbers of beam search begin anew.
    whisper_state *state = whisper_init_state(context);
    whisper_full_params parameters =
        whisper_full_default_params(beams > 1 ? WHISPER_SAMPLING_BEAM_SEARCH : WHISPER_SAMPLING_GREEDY);
    parameters.n_threads = std::atoi(arguments[2]);
    parameters.print_progress = false;
    parameters.greedy.best_of = 5;
    if (beams > 1) parameters.beam_search.beam_size = beams;
    parameters.language = "en";
    if (state == nullptr ||
        whisper_full_with_state(context, state, parameters, samples.data(), static_cast<int>(samples.size())) != 0) {
      return 1;
    }
    std::string text;
    for (int index = 0; index < whisper_full_n_segments_from_state(state); index++) {
      for (const char *at = whisper_full_get_segment_text_from_state(state, index); *at != 0; at++) {
        if (*at == '"' || *at == '\\') text += '\\';
        text += *at;
      }
    }
    const double elapsed =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    std::printf("{\"audio_ms\":%.0f,\"elapsed_ms\":%.3f,\"text\":\"%s\"}\n",
                static_cast<double>(samples.size()) / WHISPER_SAMPLE_RATE * 1000, elapsed, text.c_str());
    std::fflush(stdout);
    whisper_free_state(state);
  }
  whisper_free(context);
  return 0;
}
