// The library's log and progress, which are callbacks of the whole process.
#include <algorithm>
#include <cstring>
#include <mutex>

#include "native.hpp"

namespace {

constexpr size_t kept_bytes = 4096;

struct log_state {
  std::mutex mutex;
  ssd_on_log sink = nullptr;
  heard kept;
};

log_state &state() {
  static log_state instance;
  return instance;
}

void keep(std::string &lines, const std::string &line) {
  if (lines.size() + line.size() < kept_bytes) lines += line + "\n";
}

/// Comes from whichever thread of the library has something to say, a whole line at a time.
void on_line(sd_log_level_t level, const char *text, void *) {
  std::string line(text);
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
  log_state &log = state();
  std::lock_guard<std::mutex> guard(log.mutex);
  if (level == SD_LOG_ERROR) keep(log.kept.errors, line);
  if (level == SD_LOG_WARN) keep(log.kept.warnings, line);
  static const char version[] = "- Version: ";
  const size_t at = line.find(version);
  if (level == SD_LOG_INFO && at != std::string::npos) log.kept.architecture = line.substr(at + sizeof version - 1);
  if (log.sink != nullptr && !line.empty()) log.sink(static_cast<int32_t>(level), line.c_str());
}

struct progress_state {
  ssd_on_step report = nullptr;
  ssd_is_cancelled is_cancelled = nullptr;
  void *context = nullptr;
};

/// One call of the library is in progress at a time.
progress_state current;

// Runs on the thread that called the library, between steps, with nothing but C++ frames of the library in between:
// their destructors give back what the step held. What the next step would have reused (the scratch memory of the
// diffusion model) is reused by the next job, or goes with the model.
void on_progress(int step, int steps, float, void *) {
  if (current.is_cancelled != nullptr && current.is_cancelled(current.context)) throw cancellation();
  if (current.report != nullptr) current.report(step, steps, current.context);
}

}  // namespace

void ssd_start(ssd_on_log log) {
  {
    std::lock_guard<std::mutex> guard(state().mutex);
    state().sink = log;
  }
  sd_set_log_callback(on_line, nullptr);
  // Without one the library prints a progress bar.
  sd_set_progress_callback(on_progress, nullptr);
}

void start_listening() {
  log_state &log = state();
  std::lock_guard<std::mutex> guard(log.mutex);
  log.kept = {};
}

heard stop_listening() {
  log_state &log = state();
  std::lock_guard<std::mutex> guard(log.mutex);
  return std::move(log.kept);
}

progress_scope::progress_scope(ssd_on_step report, ssd_is_cancelled is_cancelled, void *context) {
  current = {report, is_cancelled, context};
}

progress_scope::~progress_scope() { current = {}; }

ssd_status fail(ssd_error *error, ssd_status status, const std::string &sentence) {
  size_t length = std::min(sentence.size(), sizeof(error->text) - 1);
  if (length < sentence.size()) {
    while (length > 0 && (static_cast<unsigned char>(sentence[length]) & 0xC0) == 0x80) length--;
  }
  std::memcpy(error->text, sentence.data(), length);
  error->text[length] = 0;
  return status;
}

bool has(const std::string &text, const char *part) { return text.find(part) != std::string::npos; }

std::string first_line(const std::string &text) {
  std::string line = text.substr(0, text.find('\n'));
  const size_t place = line.find(" - ");
  return place == std::string::npos ? line : line.substr(place + 3);
}

ssd_status status_of(const heard &heard) {
  for (const char *part : {"failed to allocate", "alloc_tensor_range", "out of memory", "too less memory",
                           "buffer allocation failed", "alloc params backend buffer failed"}) {
    if (has(heard.errors, part)) return SSD_RESOURCE;
  }
  return SSD_FAULT;
}
