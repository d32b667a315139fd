// Decides what a model file is before libllama sees it: libllama's own answer to a wrong file is a log line, and to a
// truncated one a bus error in the middle of a job.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "gguf.h"
#include "model.hpp"

namespace {

std::string hex(const unsigned char *bytes, size_t count) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (size_t index = 0; index < count; index++) {
    if (index > 0) text += ' ';
    text += digits[bytes[index] >> 4];
    text += digits[bytes[index] & 15];
  }
  return text;
}

/// What a file with these first bytes most likely is.
std::string guess(const unsigned char *bytes, size_t count) {
  const auto starts = [&](const char *text, size_t length) {
    return count >= length && std::memcmp(bytes, text, length) == 0;
  };
  if (starts("PK\x03\x04", 4)) return "a ZIP archive (a PyTorch checkpoint or a package)";
  if (starts("version https://git-lfs", 23)) return "a Git LFS pointer, not the model itself: fetch the real file";
  if (starts("<!DOCTYPE", 9) || starts("<!doctype", 9) || starts("<html", 5)) {
    return "a web page: the download saved an error page instead of the model";
  }
  if (starts("tjgg", 4) || starts("lmgg", 4) || starts("fmgg", 4) || starts("algg", 4)) {
    return "a ggml file from before GGUF: convert it with llama.cpp's scripts";
  }
  if (starts("\x7f" "ELF", 4)) return "a program";
  if (starts("\x1f\x8b", 2)) return "gzip-compressed: unpack it first";
  if (starts("FUGG", 4)) return "a big-endian GGUF model, which this machine cannot use";
  if (count >= 9 && bytes[8] == '{') return "a safetensors checkpoint: convert it to GGUF first";
  if (starts("{", 1)) return "a JSON text";
  return "unknown (it begins with " + hex(bytes, std::min<size_t>(count, 4)) + ")";
}

struct gguf_deleter {
  void operator()(gguf_context *context) const { gguf_free(context); }
};

}  // namespace

sllama_status sllama_inspect(const char *path, sllama_error *error) {
  const std::string name = base_name(path);
  // Non-blocking, so that a FIFO in place of the model cannot hang the engine.
  const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    return fail(error, SLLAMA_BAD_INPUT, "The model file " + name + " cannot be opened: " + std::strerror(errno) + ".");
  }
  struct stat status {};
  unsigned char head[32];
  ssize_t count = -1;
  if (fstat(file, &status) == 0 && S_ISREG(status.st_mode)) count = pread(file, head, sizeof head, 0);
  close(file);
  if (count < 0) return fail(error, SLLAMA_BAD_INPUT, "The model " + name + " is not a regular file.");
  if (count == 0) return fail(error, SLLAMA_BAD_INPUT, "The model file " + name + " is empty: download it again.");
  if (count < 4 || std::memcmp(head, "GGUF", 4) != 0) {
    return fail(error, SLLAMA_BAD_INPUT,
                "The model file " + name + " is not GGUF but " + guess(head, static_cast<size_t>(count)) + ".");
  }

  keep_errors();
  const gguf_init_params parameters = {/*no_alloc=*/true, /*ctx=*/nullptr};
  const std::unique_ptr<gguf_context, gguf_deleter> gguf(gguf_init_from_file(path, parameters));
  if (!gguf) {
    return fail(error, SLLAMA_BAD_INPUT,
                "The GGUF header of " + name + " is truncated or damaged: download the file again.");
  }
  const uint64_t size = static_cast<uint64_t>(status.st_size);
  const uint64_t start = gguf_get_data_offset(gguf.get());
  uint64_t needed = start;
  for (int64_t index = 0; index < gguf_get_n_tensors(gguf.get()); index++) {
    const uint64_t offset = gguf_get_tensor_offset(gguf.get(), index);
    const uint64_t bytes = gguf_get_tensor_size(gguf.get(), index);
    uint64_t end = 0;
    if (__builtin_add_overflow(start, offset, &end) || __builtin_add_overflow(end, bytes, &end)) {
      return fail(error, SLLAMA_BAD_INPUT, "The GGUF header of " + name + " is damaged: download the file again.");
    }
    needed = std::max(needed, end);
  }
  if (needed > size) {
    return fail(error, SLLAMA_BAD_INPUT,
                "The model file " + name + " is truncated: it has " + std::to_string(size) + " bytes of " +
                    std::to_string(needed) + "; download it again.");
  }
  return SLLAMA_OK;
}
