// Decides what a model file is before libwhisper sees it: libwhisper trusts the sizes in a file, and its own answer to a
// wrong one is a log line or a crash.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "model.hpp"

namespace {

/// A file read from its start, with every read inside it.
class reader {
 public:
  /// Opens a regular file of at least one byte; on failure `problem` says why.
  reader(const char *path, std::string &problem) : name(base_name(path)) {
    // Non-blocking, so that a FIFO in place of the model cannot hang the engine.
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
      problem = "The model file " + name + " cannot be opened: " + std::strerror(errno) + ".";
      return;
    }
    struct stat status {};
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
      problem = "The model " + name + " is not a regular file.";
      close(descriptor);
      return;
    }
    if (status.st_size == 0) {
      problem = "The model file " + name + " is empty: download it again.";
      close(descriptor);
      return;
    }
    size = static_cast<uint64_t>(status.st_size);
    file.reset(fdopen(descriptor, "rb"));
    if (!file) {
      problem = "The model file " + name + " cannot be read: " + std::strerror(errno) + ".";
      close(descriptor);
    }
  }

  bool bytes(void *to, size_t count) {
    if (count > size - at || std::fread(to, 1, count, file.get()) != count) return false;
    at += count;
    return true;
  }

  bool number(int32_t &value) { return bytes(&value, sizeof value); }
  /// A number that must lie in a range.
  bool number(int32_t &value, int32_t least, int32_t most) {
    return number(value) && value >= least && value <= most;
  }

  bool skip(uint64_t count) {
    if (count > size - at || fseeko(file.get(), static_cast<off_t>(count), SEEK_CUR) != 0) return false;
    at += count;
    return true;
  }

  bool ended() const { return at == size; }

  std::string name;
  uint64_t size = 0;
  uint64_t at = 0;

 private:
  struct closer {
    void operator()(FILE *open_file) const { std::fclose(open_file); }
  };
  std::unique_ptr<FILE, closer> file;
};

/// What a file with these first bytes most likely is.
std::string guess(const unsigned char *bytes, size_t count) {
  const auto starts = [&](const char *text, size_t length) {
    return count >= length && std::memcmp(bytes, text, length) == 0;
  };
  if (starts("GGUF", 4)) return "GGUF, which is for language models: whisper.cpp reads its own ggml format";
  if (starts("PK\x03\x04", 4)) return "a ZIP archive (a PyTorch checkpoint or a package): convert it to ggml first";
  if (starts("version https://git-lfs", 23)) return "a Git LFS pointer, not the model itself: fetch the real file";
  if (starts("<!DOCTYPE", 9) || starts("<!doctype", 9) || starts("<html", 5)) {
    return "a web page: the download saved an error page instead of the model";
  }
  if (starts("\x7f" "ELF", 4)) return "a program";
  if (starts("\x1f\x8b", 2)) return "gzip-compressed: unpack it first";
  if (starts("RIFF", 4)) return "a recording";
  if (count >= 9 && bytes[8] == '{') return "a safetensors checkpoint: convert it to ggml first";
  if (starts("{", 1)) return "a JSON text";
  static const char digits[] = "0123456789abcdef";
  std::string text = "unknown (it begins with";
  for (size_t index = 0; index < std::min<size_t>(count, 4); index++) {
    text += {' ', digits[bytes[index] >> 4], digits[bytes[index] & 15]};
  }
  return text + ")";
}

/// The file's magic number, ended by a sentence when it is another one.
bool is_ggml(reader &file, std::string &problem) {
  unsigned char head[32] = {};
  const size_t count = std::min<uint64_t>(file.size, sizeof head);
  uint32_t magic = 0;
  if (!file.bytes(head, count)) {
    problem = "The model file " + file.name + " cannot be read.";
    return false;
  }
  if (count >= sizeof magic) std::memcpy(&magic, head, sizeof magic);
  if (magic != GGML_FILE_MAGIC) {
    problem = "The model file " + file.name + " is not a ggml model but " + guess(head, count) + ".";
    return false;
  }
  return true;
}

std::string damaged(const reader &file) {
  return "The model file " + file.name + " is truncated or damaged: download it again.";
}

/// Walks the tensors to the end of the file; false when one does not fit into it.
bool walk_tensors(reader &file, size_t &count) {
  for (count = 0; !file.ended(); count++) {
    int32_t dimensions = 0;
    int32_t name_length = 0;
    int32_t type = 0;
    if (!file.number(dimensions, 0, 4) || !file.number(name_length, 1, 256) ||
        !file.number(type, 0, GGML_TYPE_COUNT - 1)) {
      return false;
    }
    const int64_t block = ggml_blck_size(static_cast<ggml_type>(type));
    const uint64_t block_bytes = ggml_type_size(static_cast<ggml_type>(type));
    if (block <= 0 || block_bytes == 0) return false;
    uint64_t elements = 1;
    for (int32_t index = 0; index < dimensions; index++) {
      int32_t extent = 0;
      if (!file.number(extent, 1, INT32_MAX)) return false;
      elements *= static_cast<uint64_t>(extent);
      // libwhisper counts in 32 bits.
      if (elements > INT32_MAX) return false;
    }
    if (!file.skip(static_cast<uint64_t>(name_length))) return false;
    if (!file.skip(elements / static_cast<uint64_t>(block) * block_bytes)) return false;
  }
  return true;
}

/// Reads magic number, sizes, filters and vocabulary. `weights` becomes a lower bound of the number of weights.
bool walk_header(reader &file, uint64_t &weights) {
  constexpr int32_t most = 1 << 16;
  int32_t magic, vocabulary, audio_context, audio_state, audio_heads, audio_layers;
  int32_t text_context, text_state, text_heads, text_layers, mels, type;
  if (!file.number(magic) || !file.number(vocabulary, 1, 1 << 20) || !file.number(audio_context, 1, most) ||
      !file.number(audio_state, 1, most) || !file.number(audio_heads, 1, audio_state) ||
      !file.number(audio_layers, 1, 256) || !file.number(text_context, 1, most) ||
      !file.number(text_state, audio_state, audio_state) || !file.number(text_heads, 1, text_state) ||
      !file.number(text_layers, 1, 256) || !file.number(mels, 1, 1024) || !file.number(type, 0, INT32_MAX)) {
    return false;
  }
  if (audio_state % audio_heads != 0 || text_state % text_heads != 0) return false;
  int32_t filters = 0;
  int32_t bins = 0;
  if (!file.number(filters, mels, mels) || !file.number(bins, 1 + WHISPER_N_FFT / 2, 1 + WHISPER_N_FFT / 2)) {
    return false;
  }
  if (!file.skip(static_cast<uint64_t>(filters) * static_cast<uint64_t>(bins) * sizeof(float))) return false;
  int32_t words = 0;
  if (!file.number(words, 1, vocabulary)) return false;
  for (int32_t index = 0; index < words; index++) {
    int32_t length = 0;
    if (!file.number(length, 0, 4096) || !file.skip(static_cast<uint64_t>(length))) return false;
  }
  const uint64_t square = static_cast<uint64_t>(audio_state) * static_cast<uint64_t>(audio_state);
  weights = square * (12 * static_cast<uint64_t>(audio_layers) + 16 * static_cast<uint64_t>(text_layers)) +
            static_cast<uint64_t>(vocabulary) * static_cast<uint64_t>(text_state);
  return true;
}

/// Whether the bytes behind the magic number are a short text, as in a voice activity model.
bool is_voice(const char *path) {
  std::string problem;
  reader file(path, problem);
  int32_t magic = 0;
  int32_t length = 0;
  char name[64] = {};
  return problem.empty() && file.number(magic) && file.number(length, 1, 63) &&
         file.bytes(name, static_cast<size_t>(length)) && std::strncmp(name, "silero", 6) == 0;
}

}  // namespace

swhisper_status swhisper_inspect(const char *path, swhisper_error *error) {
  std::string problem;
  reader probe(path, problem);
  if (!problem.empty() || !is_ggml(probe, problem)) return fail(error, SWHISPER_BAD_INPUT, problem);
  if (is_voice(path)) {
    return fail(error, SWHISPER_BAD_INPUT,
                "The file " + probe.name +
                    " is a voice activity model: give it the role vad, and a whisper model the role model.");
  }
  reader file(path, problem);
  if (!problem.empty()) return fail(error, SWHISPER_BAD_INPUT, problem);
  uint64_t weights = 0;
  size_t tensors = 0;
  if (!walk_header(file, weights)) return fail(error, SWHISPER_BAD_INPUT, damaged(file));
  if (file.ended()) {
    return fail(error, SWHISPER_BAD_INPUT, "The model file " + file.name + " has no weights: it is only for tests.");
  }
  // The smallest types take about two bits a weight; libwhisper reserves what the header says before it reads.
  if (weights / 4 > file.size || !walk_tensors(file, tensors)) {
    return fail(error, SWHISPER_BAD_INPUT, damaged(file));
  }
  return SWHISPER_OK;
}

swhisper_status swhisper_inspect_voice(const char *path, swhisper_error *error) {
  std::string problem;
  reader probe(path, problem);
  if (!problem.empty() || !is_ggml(probe, problem)) return fail(error, SWHISPER_BAD_INPUT, problem);
  if (!is_voice(path)) {
    return fail(error, SWHISPER_BAD_INPUT,
                "The file " + probe.name + " is not a Silero voice activity model in ggml format.");
  }
  reader file(path, problem);
  int32_t magic, length, part, layers;
  const auto header = [&] {
    if (!file.number(magic) || !file.number(length, 1, 63) || !file.skip(static_cast<uint64_t>(length))) return false;
    for (int index = 0; index < 3; index++) {
      if (!file.number(part, 0, 1000)) return false;
    }
    // Samples of a window and of its context; libwhisper's graph has four layers.
    if (!file.number(part, 1, 4096) || !file.number(part, 0, 4096) || !file.number(layers, 4, 4)) return false;
    for (int32_t index = 0; index < layers * 3 + 4; index++) {
      if (!file.number(part, 1, 4096)) return false;
    }
    return true;
  };
  size_t tensors = 0;
  if (!problem.empty() || !header() || !walk_tensors(file, tensors) || tensors == 0) {
    return fail(error, SWHISPER_BAD_INPUT, damaged(file));
  }
  return SWHISPER_OK;
}
