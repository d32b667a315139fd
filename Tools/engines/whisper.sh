#!/usr/bin/env bash
# Builds libwhisper into .engines/whisper/{include,lib}, and puts its sample recording and a voice-activity model, which
# the tests and benchmarks use, into .engines/whisper/samples.
#
#   Tools/engines/whisper.sh          build, or say at once that everything is up to date
#   ACCEL=cpu|cuda|vulkan|hip         what to compute on; the default is cpu
#   WHISPER_PREFIX=/path              use the whisper.cpp installed there instead of building one; without it an
#                                     installation that pkg-config knows is used; WHISPER_PREFIX=none builds in any case
#   STOKER_CACHE=/path                where the downloaded sources are kept; the default is .engines/downloads
#   WHISPER_CMAKE_ARGS="-D... -D..."  further switches for CMake
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/native.sh"

# whisper.cpp's sources travel in this package's source distribution (10 MB).
native_package=pywhispercpp
native_version=1.5.1
native_sha256=5df897e5dd9d9f16804fc937bd85b9f5880a0b29a55f8843585e0e03d76195e5
native_vendored=whisper.cpp

native_setup whisper whisper.cpp
native_accel -DGGML_CUDA=ON -DGGML_VULKAN=ON -DGGML_HIP=ON
native_installed whisper.h libwhisper.so whisper
native_stamp_or_exit "${BASH_SOURCE[0]}"
# The samples come from the sources in any case.
native_source

if [[ -z $prefix ]]; then
  native_build "$source" "one to three minutes on two cores" whisper -- \
    -DBUILD_SHARED_LIBS=ON -DWHISPER_BUILD_TESTS=OFF -DWHISPER_BUILD_EXAMPLES=OFF -DWHISPER_BUILD_SERVER=OFF \
    -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON "-DCMAKE_INSTALL_RPATH=\$ORIGIN"
fi

native_stage
if [[ -n $prefix ]]; then
  cp "$prefix"/include/{whisper,ggml,gguf}*.h "$staged/include/"
  native_link_prefix whisper ggml
else
  cp "$source"/include/*.h "$source"/ggml/include/*.h "$staged/include/"
  native_copy_libraries "$build"/src/lib*.so* "$build"/ggml/src/lib*.so*
fi
mkdir "$staged/samples"
cp "$source/samples/jfk.wav" "$staged/samples/"
cp "$source/models/for-tests-silero-v6.2.0-ggml.bin" "$staged/samples/silero-vad.bin"
native_publish "$source/LICENSE"
