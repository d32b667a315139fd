#!/usr/bin/env bash
# Builds libstable-diffusion into .engines/sdcpp/{include,lib}: the library with its own ggml inside, nothing else of
# stable-diffusion.cpp.
#
#   Tools/engines/sdcpp.sh            build, or say at once that everything is up to date
#   ACCEL=cpu|cuda|vulkan|hip         what to compute on; the default is cpu
#   SDCPP_PREFIX=/path                use the stable-diffusion.cpp installed there (of the version below: its interface
#                                     changes often) instead of building it; SDCPP_PREFIX=none builds in any case
#   STOKER_CACHE=/path                where the downloaded sources are kept; the default is .engines/downloads
#   SDCPP_CMAKE_ARGS="-D... -D..."    further switches for CMake
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/native.sh"

# stable-diffusion.cpp's sources travel in this package's source distribution (21 MB).
native_package=stable-diffusion-cpp-python
native_version=0.4.7
native_sha256=998d1957260dd5ae4e18a8acc0c14b0a8757aaa9f96515197b6d5bbf46df9282
native_vendored=vendor/stable-diffusion.cpp

native_setup sdcpp stable-diffusion.cpp
native_accel -DSD_CUDA=ON -DSD_VULKAN=ON -DSD_HIPBLAS=ON
native_installed stable-diffusion.h libstable-diffusion.so stable-diffusion
native_stamp_or_exit "${BASH_SOURCE[0]}"
native_source

# The library alone: its programs bring in an HTTP server, and its own image files libwebp and libwebm. Without OpenMP
# it needs nothing at run time but the C++ library. Inside another repository its version would be that one's: no git.
if [[ -z $prefix ]]; then
  native_build "$source" "three to seven minutes on two cores" stable-diffusion -- \
    -DSD_BUILD_SHARED_LIBS=ON -DSD_BUILD_EXAMPLES=OFF -DSD_WEBP=OFF -DSD_WEBM=OFF -DGGML_OPENMP=OFF -DGIT_EXE=false
fi

native_stage
# Image files are the engine's own business; these public-domain headers read and write JPEG, and scale.
mkdir "$staged/include/stb"
cp "$source"/thirdparty/stb_image{,_resize,_write}.h "$staged/include/stb/"
if [[ -n $prefix ]]; then
  cp "$prefix/include/stable-diffusion.h" "$staged/include/"
  native_link_prefix stable-diffusion ggml
else
  cp "$source/include/stable-diffusion.h" "$staged/include/"
  native_copy_libraries "$build"/bin/libstable-diffusion.so*
fi
cp "$source"/ggml/include/ggml{,-alloc,-backend}.h "$staged/include/"
cp "$source/ggml/LICENSE" "$staged/LICENSE.ggml"
cp "$source/thirdparty/LICENSE.darts_clone.txt" "$staged/LICENSE.darts_clone"
native_publish "$source/LICENSE"
