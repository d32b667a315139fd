#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "CWhisper.h"
#include "ggml-backend.h"
#include "whisper.h"

/// What a call in progress asks whether it shall go on.
struct cancellation {
  swhisper_is_cancelled is_cancelled = nullptr;
  void *context = nullptr;

  bool requested() const { return is_cancelled != nullptr && is_cancelled(context); }
};

struct swhisper_model {
  whisper_context *context = nullptr;
  /// Caches, working memory and random numbers. NULL after a failure that took it.
  whisper_state *state = nullptr;
  /// The backends of the state that can stop between two nodes of a graph.
  std::vector<ggml_backend_t> backends;
  int32_t threads = 1;
  uint64_t memory_bytes = 0;
  uint64_t device_bytes = 0;
  cancellation cancel;

  /// Replaces the state, which takes milliseconds: its random numbers, which beam search draws from, begin anew, so
  /// that equal jobs give equal texts. False when memory ran out.
  bool renew();
  /// Takes note of what a call of libwhisper returned.
  void ended(int result);

  ~swhisper_model();
};

struct swhisper_voice {
  whisper_vad_context *context = nullptr;
  std::vector<ggml_backend_t> backends;
  cancellation cancel;

  ~swhisper_voice();
};

/// While it lives, backends that this thread creates for the processor are added to `backends`.
class backend_collector {
 public:
  explicit backend_collector(std::vector<ggml_backend_t> &backends);
  ~backend_collector();
  backend_collector(const backend_collector &) = delete;
  backend_collector &operator=(const backend_collector &) = delete;
};

/// While it lives, what the backends compute ends soon after the cancellation is requested.
class abort_guard {
 public:
  abort_guard(const std::vector<ggml_backend_t> &backends, cancellation &cancel, cancellation now);
  ~abort_guard();
  abort_guard(const abort_guard &) = delete;
  abort_guard &operator=(const abort_guard &) = delete;

 private:
  const std::vector<ggml_backend_t> &backends;
  cancellation &cancel;
};

/// The form of `cancellation` that ggml and libwhisper take; `context` is one.
bool should_abort(void *context);

/// Writes a sentence into `error`, cut at a character boundary, and returns `status`.
swhisper_status fail(swhisper_error *error, swhisper_status status, const std::string &sentence);

/// The last component of a path, for messages.
std::string base_name(const char *path);

/// Starts remembering libwhisper's errors; `take_errors` returns them, oldest first, one a line, and `take_graph_bytes`
/// the sizes of the buffers that it says it has reserved for graphs.
void keep_errors();
std::string take_errors();
uint64_t take_graph_bytes();

/// The most beams and candidates that libwhisper follows at a time.
constexpr int32_t max_candidates = 8;
/// Candidates that are drawn when a window has to be decoded again with more randomness: whisper-cli's number.
constexpr int32_t fallback_candidates = 5;
