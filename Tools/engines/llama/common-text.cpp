// The few functions of llama.cpp's common.cpp and log.cpp that the chat templates and grammars call. Those two files
// themselves reach the command line parser, the downloader and a logging thread.
#include <cstdarg>
#include <cstdio>
#include <stdexcept>

#include "common.h"
#include "log.h"

std::string string_join(const std::vector<std::string> & values, const std::string & separator) {
    std::string out;
    for (size_t index = 0; index < values.size(); index++) {
        if (index > 0) out += separator;
        out += values[index];
    }
    return out;
}

std::vector<std::string> string_split(const std::string & text, const std::string & delimiter) {
    std::vector<std::string> parts;
    size_t start = 0;
    for (size_t end; (end = text.find(delimiter, start)) != std::string::npos; start = end + delimiter.size()) {
        parts.push_back(text.substr(start, end - start));
    }
    parts.push_back(text.substr(start));
    return parts;
}

std::string string_repeat(const std::string & text, size_t count) {
    std::string out;
    out.reserve(text.size() * count);
    for (size_t index = 0; index < count; index++) out += text;
    return out;
}

void string_replace_all(std::string & text, const std::string & search, const std::string & replacement) {
    if (search.empty()) return;
    std::string out;
    size_t start = 0;
    for (size_t found; (found = text.find(search, start)) != std::string::npos; start = found + search.size()) {
        out.append(text, start, found - start);
        out += replacement;
    }
    out.append(text, start, std::string::npos);
    text = std::move(out);
}

bool tty_can_use_colors() { return false; }

std::vector<llama_token> common_tokenize(const llama_vocab * vocab, const std::string & text, bool add_special,
                                         bool parse_special) {
    // A negative answer is the room needed; a text never has more tokens than bytes plus the special ones.
    std::vector<llama_token> tokens(text.size() / 3 + 16);
    const auto run = [&] {
        return llama_tokenize(vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                              static_cast<int32_t>(tokens.size()), add_special, parse_special);
    };
    int32_t count = run();
    if (count < 0) {
        if (count == INT32_MIN) throw std::runtime_error("the text has too many tokens to count");
        tokens.resize(static_cast<size_t>(-count));
        count = run();
    }
    if (count < 0) throw std::runtime_error("the text cannot be tokenised");
    tokens.resize(static_cast<size_t>(count));
    return tokens;
}

std::string common_token_to_piece(const llama_vocab * vocab, llama_token token, bool special) {
    std::string piece(32, 0);
    int32_t length = llama_token_to_piece(vocab, token, piece.data(), static_cast<int32_t>(piece.size()), 0, special);
    if (length < 0) {
        piece.resize(static_cast<size_t>(-length));
        length = llama_token_to_piece(vocab, token, piece.data(), static_cast<int32_t>(piece.size()), 0, special);
    }
    piece.resize(static_cast<size_t>(length > 0 ? length : 0));
    return piece;
}

// The log goes where libllama's own goes; below a warning there is nothing an operator wants to see.

int common_log_get_verbosity_thold(void) { return LOG_LEVEL_WARN; }

common_log * common_log_main() { return nullptr; }

void common_log_add(common_log *, ggml_log_level level, const char * format, ...) {
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    ggml_log_callback callback = nullptr;
    void * context = nullptr;
    llama_log_get(&callback, &context);
    if (callback != nullptr) callback(level, line, context);
}
