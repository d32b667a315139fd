#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>

#include "ggml-backend.h"
#include "model.hpp"

namespace {

/// Enough for the errors of one failed load.
constexpr size_t kept_bytes = 4096;

struct log_state {
  std::mutex mutex;
  swhisper_on_log sink = nullptr;
  std::string line;
  int32_t level = 1;
  std::string errors;
  double graph_megabytes = 0;
};

log_state &state() {
  static log_state instance;
  return instance;
}

int32_t level_of(ggml_log_level level) {
  switch (level) {
    case GGML_LOG_LEVEL_ERROR: return 3;
    case GGML_LOG_LEVEL_WARN: return 2;
    case GGML_LOG_LEVEL_INFO: return 1;
    default: return 0;
  }
}

/// libwhisper logs fragments: a line ends at its line break, and a fragment of level CONT continues the one before.
void on_fragment(ggml_log_level level, const char *text, void *) {
  log_state &log = state();
  std::lock_guard<std::mutex> guard(log.mutex);
  if (level != GGML_LOG_LEVEL_CONT) log.level = level_of(level);
  for (const char *at = text; *at != 0; at++) {
    if (*at != '\n') {
      if (log.line.size() < kept_bytes) log.line += *at;
      continue;
    }
    // "compute buffer (encode) =   17.72 MB": nothing else tells the sizes.
    const size_t number = log.line.find("compute buffer") == std::string::npos ? std::string::npos : log.line.find('=');
    if (number != std::string::npos) log.graph_megabytes += std::max(0.0, std::atof(log.line.c_str() + number + 1));
    if (log.level == 3 && log.errors.size() + log.line.size() < kept_bytes) log.errors += log.line + "\n";
    if (log.sink != nullptr && !log.line.empty()) log.sink(log.level, log.line.c_str());
    log.line.clear();
  }
}

}  // namespace

void keep_errors() {
  log_state &log = state();
  std::lock_guard<std::mutex> guard(log.mutex);
  log.errors.clear();
  log.graph_megabytes = 0;
}

std::string take_errors() {
  log_state &log = state();
  std::lock_guard<std::mutex> guard(log.mutex);
  return std::move(log.errors);
}

uint64_t take_graph_bytes() {
  log_state &log = state();
  std::lock_guard<std::mutex> guard(log.mutex);
  return static_cast<uint64_t>(log.graph_megabytes * 1e6);
}

swhisper_status fail(swhisper_error *error, swhisper_status status, const std::string &sentence) {
  size_t length = std::min(sentence.size(), sizeof(error->text) - 1);
  if (length < sentence.size()) {
    while (length > 0 && (static_cast<unsigned char>(sentence[length]) & 0xC0) == 0x80) length--;
  }
  std::memcpy(error->text, sentence.data(), length);
  error->text[length] = 0;
  return status;
}

std::string base_name(const char *path) {
  const char *slash = std::strrchr(path, '/');
  return slash != nullptr ? slash + 1 : path;
}

void swhisper_start(swhisper_on_log log) {
  {
    std::lock_guard<std::mutex> guard(state().mutex);
    state().sink = log;
  }
  whisper_log_set(on_fragment, nullptr);
  ggml_log_set(on_fragment, nullptr);
}

const char *swhisper_version(void) { return whisper_version(); }

const char *swhisper_device(void) {
  for (size_t index = 0; index < ggml_backend_dev_count(); index++) {
    ggml_backend_dev_t device = ggml_backend_dev_get(index);
    const enum ggml_backend_dev_type type = ggml_backend_dev_type(device);
    if (type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU) {
      return ggml_backend_dev_name(device);
    }
  }
  return nullptr;
}

const char *swhisper_language(const char *name) {
  const int identifier = whisper_lang_id(name);
  return identifier < 0 ? nullptr : whisper_lang_str(identifier);
}
