#pragma once

#include <cstdint>
#include <string>

#include "CStableDiffusion.h"
#include "stable-diffusion.h"

/// What the library says while one call is in progress.
struct heard {
  /// Errors, oldest first, one a line; at most a few thousand bytes.
  std::string errors;
  std::string warnings;
  /// From the line that names the model's kind.
  std::string architecture;
};

/// Starts remembering; `stop_listening` returns what was heard since.
void start_listening();
heard stop_listening();

/// Sends progress to `report`, and ends the call in progress when `is_cancelled` says so, by throwing `cancellation`.
class progress_scope {
 public:
  progress_scope(ssd_on_step report, ssd_is_cancelled is_cancelled, void *context);
  ~progress_scope();
  progress_scope(const progress_scope &) = delete;
  progress_scope &operator=(const progress_scope &) = delete;
};

/// Thrown out of the library's progress report.
struct cancellation {};

/// Writes a sentence into `error`, cut at a character boundary, and returns `status`.
ssd_status fail(ssd_error *error, ssd_status status, const std::string &sentence);

bool has(const std::string &text, const char *part);

/// The first line, without where in the library's sources it comes from.
std::string first_line(const std::string &text);

/// The class of what the library said when it failed.
ssd_status status_of(const heard &heard);

struct ssd_model {
  sd_ctx_t *context = nullptr;
  ssd_model_info info{};
};
