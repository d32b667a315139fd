#!/usr/bin/env bash
# Builds libllama and the chat part of llama.cpp's `common` library into .engines/llama/{include,lib}.
#
#   Tools/engines/llama.sh            build, or say at once that everything is up to date
#   ACCEL=cpu|cuda|vulkan|hip         what to compute on; the default is cpu
#   LLAMA_PREFIX=/path                use the llama.cpp installed there instead of building libllama; without it an
#                                     installation that pkg-config knows is used; LLAMA_PREFIX=none builds in any case
#   STOKER_CACHE=/path                where the downloaded sources are kept; the default is .engines/downloads
#   LLAMA_CMAKE_ARGS="-D... -D..."    further switches for CMake
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/native.sh"

# llama.cpp's sources travel in this package's source distribution (77 MB).
native_package=llama-cpp-python
native_version=0.3.36
native_sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
native_vendored=vendor/llama.cpp

native_setup llama llama.cpp
native_accel -DGGML_CUDA=ON -DGGML_VULKAN=ON -DGGML_HIP=ON
native_installed llama.h libllama.so llama
native_stamp_or_exit "${BASH_SOURCE[0]}" "$here"/llama/*
native_source

# The chat part is built in any case: no installation has it.
targets=(llama-chat)
[[ -n $prefix ]] || targets+=(llama)
native_build "$here/llama" "two to five minutes on two cores" "${targets[@]}" -- \
  -DLLAMA_SOURCE="$source" -DLLAMA_PREFIX="$prefix"

native_stage
mkdir "$staged/include/common"
cp -R "$source"/common/*.h "$source"/common/jinja "$staged/include/common/"
rm -f "$staged"/include/common/jinja/*.cpp
cp "$build/libllama-chat.a" "$staged/lib/"
if [[ -n $prefix ]]; then
  cp "$prefix"/include/{llama,ggml,gguf}*.h "$staged/include/"
  native_link_prefix llama ggml
else
  cp "$source"/include/*.h "$source"/ggml/include/*.h "$staged/include/"
  native_copy_libraries "$build"/bin/lib*.so*
fi
native_publish "$source/LICENSE"
