// Stops a computation in the middle of a graph. libwhisper asks its abort callback between graphs only, and one pass of
// a large model's encoder takes many seconds on a processor; ggml can stop between two nodes, but libwhisper keeps its
// backends to itself. So this program's own `ggml_backend_init_by_type` stands before the library's, which the dynamic
// linker allows, and remembers what the library's returned.
#include <dlfcn.h>

#include "model.hpp"

namespace {

thread_local std::vector<ggml_backend_t> *collected = nullptr;

void set_abort(const std::vector<ggml_backend_t> &backends, ggml_abort_callback callback, void *context) {
  for (ggml_backend_t backend : backends) {
    ggml_backend_dev_t device = ggml_backend_get_device(backend);
    if (device == nullptr) continue;
    auto *set = reinterpret_cast<ggml_backend_set_abort_callback_t>(ggml_backend_reg_get_proc_address(
        ggml_backend_dev_backend_reg(device), "ggml_backend_set_abort_callback"));
    if (set != nullptr) set(backend, callback, context);
  }
}

}  // namespace

extern "C" ggml_backend_t ggml_backend_init_by_type(enum ggml_backend_dev_type type, const char *parameters) {
  using function = ggml_backend_t (*)(enum ggml_backend_dev_type, const char *);
  static const function real = reinterpret_cast<function>(dlsym(RTLD_NEXT, "ggml_backend_init_by_type"));
  if (real == nullptr) return nullptr;
  ggml_backend_t backend = real(type, parameters);
  if (backend != nullptr && collected != nullptr) collected->push_back(backend);
  return backend;
}

backend_collector::backend_collector(std::vector<ggml_backend_t> &backends) { collected = &backends; }
backend_collector::~backend_collector() { collected = nullptr; }

abort_guard::abort_guard(const std::vector<ggml_backend_t> &backends, cancellation &cancel, cancellation now)
    : backends(backends), cancel(cancel) {
  cancel = now;
  set_abort(backends, should_abort, &cancel);
}

abort_guard::~abort_guard() {
  set_abort(backends, nullptr, nullptr);
  cancel = {};
}

bool should_abort(void *context) { return static_cast<const cancellation *>(context)->requested(); }
