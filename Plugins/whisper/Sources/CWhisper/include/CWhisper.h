/// The part of libwhisper that the engine needs, behind a C interface without exceptions or C++ types.
///
/// A model runs one call at a time: none of the functions may be called for one model, or one voice detector, from two
/// threads at once. Audio is mono, 16,000 samples a second, nominally -1...1. Times are hundredths of a second from the
/// first sample of the call. Strings are UTF-8 unless it says otherwise. Every function that can fail returns a status
/// and writes one sentence into `error`.
#ifndef STOKER_CWHISPER_H
#define STOKER_CWHISPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What kind of failure it was: the error classes of the engine protocol.
typedef enum {
  SWHISPER_OK = 0,
  SWHISPER_BAD_INPUT = 1,
  SWHISPER_UNSUPPORTED = 2,
  SWHISPER_RESOURCE = 3,
  SWHISPER_FAULT = 4,
  SWHISPER_CANCELLED = 5,
} swhisper_status;

/// One sentence for a person, ended by NUL, cut at a character boundary.
typedef struct {
  char text[1024];
} swhisper_error;

/// A loaded model with its working memory.
typedef struct swhisper_model swhisper_model;
/// A loaded voice activity detector.
typedef struct swhisper_voice swhisper_voice;

/// Asked often and from any thread while libwhisper computes; true makes the call in progress return
/// `SWHISPER_CANCELLED`. Must be cheap.
typedef bool (*swhisper_is_cancelled)(void *context);
/// Called while a model loads with 0...1; false gives the load up.
typedef bool (*swhisper_on_load)(float fraction, void *context);
/// One line of libwhisper's log without its line break: level 0 debug, 1 information, 2 warning, 3 error.
typedef void (*swhisper_on_log)(int32_t level, const char *text);

/// Sets up libwhisper. Call once, before anything else.
void swhisper_start(swhisper_on_log log);

/// libwhisper's version, a static string.
const char *swhisper_version(void);

/// The first device that computes beside the processor ("CUDA0", "Vulkan0"), or NULL. Valid as long as the process.
const char *swhisper_device(void);

/// The code ("de") of a language given by code or English name in lower case, or NULL when whisper does not know it.
/// A static string.
const char *swhisper_language(const char *name);

/// Checks that `path` is a whisper model in ggml format: its header is sane and its tensors all lie inside the file.
swhisper_status swhisper_inspect(const char *path, swhisper_error *error);
/// The same for a voice activity model in ggml format.
swhisper_status swhisper_inspect_voice(const char *path, swhisper_error *error);

typedef struct {
  /// Threads that compute, at least 1.
  int32_t threads;
  /// Compute on the first device, if there is one.
  bool use_device;
  /// The most beams that `swhisper_run` will be asked to follow.
  int32_t beam_size;
} swhisper_load_options;

typedef struct {
  /// Knows other languages than English.
  bool multilingual;
  /// What the load took of the main memory: weights, caches, and what is reserved to compute in.
  uint64_t memory_bytes;
  /// What the load took from the devices; 0 when everything is in main memory.
  uint64_t device_bytes;
} swhisper_model_info;

/// Loads a model that `swhisper_inspect` has accepted, with all the memory that calls of `swhisper_run` need besides
/// what grows with their audio.
swhisper_status swhisper_load(const char *path, const swhisper_load_options *options, swhisper_on_load progress,
                              void *context, swhisper_model **model, swhisper_error *error);
swhisper_model_info swhisper_info(const swhisper_model *model);
/// Gives the memory back to the system. NULL is allowed.
void swhisper_free(swhisper_model *model);

/// A piece of a segment's text. `text` is part of a UTF-8 string and may begin or end inside a character.
typedef struct {
  const char *text;
  int64_t start;
  int64_t end;
  /// 0...1.
  float probability;
} swhisper_token;

/// Valid during the callback.
typedef struct {
  const char *text;
  int64_t start;
  int64_t end;
  /// NULL unless words were asked for.
  const swhisper_token *tokens;
  size_t token_count;
} swhisper_segment;

typedef struct {
  /// A code that `swhisper_language` gave; NULL lets the first half minute of the audio decide.
  const char *language;
  bool translate;
  /// Text to begin in the style of, or NULL.
  const char *prompt;
  /// Times and probabilities of tokens.
  bool words;
  /// Begins with the text of the call before as context.
  bool goes_on;
  /// 1 to 8 candidates that are followed at a time; 1 is greedy.
  int32_t beam_size;
  /// Milliseconds of the audio in which a segment may begin; what follows is only there to be looked at. 0: all of it.
  int32_t covered_ms;
} swhisper_run_options;

typedef struct {
  swhisper_is_cancelled is_cancelled;
  /// On the caller's thread.
  void (*on_segment)(const swhisper_segment *segment, void *context);
  /// On the caller's thread, before each window: 0...1 of what is covered.
  void (*on_progress)(double fraction, void *context);
  void *context;
} swhisper_callbacks;

/// Transcribes. Segments come in order while they are made. `language` becomes the code of the language that was
/// spoken or assumed, a static string.
swhisper_status swhisper_run(swhisper_model *model, const float *samples, size_t count,
                             const swhisper_run_options *options, const swhisper_callbacks *callbacks,
                             const char **language, swhisper_error *error);

/// Loads a voice activity model that `swhisper_inspect_voice` has accepted.
swhisper_status swhisper_voice_load(const char *path, swhisper_voice **voice, swhisper_error *error);
/// NULL is allowed.
void swhisper_voice_free(swhisper_voice *voice);

/// Finds where somebody speaks. `on_speech` gets first and end sample of each stretch, in order.
swhisper_status swhisper_voice_find(swhisper_voice *voice, const float *samples, size_t count,
                                    swhisper_is_cancelled is_cancelled,
                                    void (*on_speech)(size_t start, size_t end, void *context), void *context,
                                    swhisper_error *error);

/// A pipe, reading end first, that no child process inherits by accident; glibc's `pipe2`, which Swift's view of it
/// leaves out. 0, or an error number.
int32_t swhisper_pipe(int32_t ends[2]);

#ifdef __cplusplus
}
#endif

#endif
