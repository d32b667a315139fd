#!/usr/bin/env bash
# Builds libllama and the chat part of llama.cpp's `common` library into .engines/llama/{include,lib}.
#
#   Tools/engines/llama.sh            build, or say at once that everything is up to date
#   ACCEL=cpu|cuda|vulkan|hip         what to compute on; the default is cpu
#   LLAMA_PREFIX=/path                use the llama.cpp installed there instead of building libllama; without it an
#                                     installation that pkg-config knows is used; LLAMA_PREFIX=none builds in any case
#   STOKER_CACHE=/path                where the downloaded sources are kept; the default is .engines/downloads
#   LLAMA_CMAKE_ARGS="-D... -D..."    further switches for CMake
#
# The library is tuned to the processor of this machine (GGML_NATIVE): it is built where it runs. The stamp therefore
# covers the processor's features besides this script, its inputs, the compiler and the switches, so that a tree that
# was copied to another machine is built again.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/Tools/engines
engines=$root/.engines
destination=$engines/llama
cache=${STOKER_CACHE:-$engines/downloads}
accel=${ACCEL:-cpu}
jobs=${JOBS:-$(nproc)}

# llama.cpp's sources travel in this package's source distribution.
package=llama-cpp-python
version=0.3.36
archive=llama_cpp_python-$version.tar.gz
sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e

say() { printf 'engines/llama: %s\n' "$*"; }
die() {
  printf 'engines/llama: %s\n' "$*" >&2
  exit 1
}

case $accel in
  cpu) accel_flags=() ;;
  cuda) accel_flags=(-DGGML_CUDA=ON) ;;
  vulkan) accel_flags=(-DGGML_VULKAN=ON) ;;
  hip) accel_flags=(-DGGML_HIP=ON) ;;
  *) die "ACCEL=$accel is not known; use cpu, cuda, vulkan or hip" ;;
esac
read -r -a extra_flags <<<"${LLAMA_CMAKE_ARGS:-}"

need() { command -v "$1" >/dev/null || die "$1 is missing: install it with 'apt-get install $2' or '$3'"; }
command -v "${CXX:-c++}" >/dev/null ||
  die "there is no C++ compiler ${CXX:-c++}: install one with 'apt-get install g++', or name one in CXX"

# An installed llama.cpp: LLAMA_PREFIX, else pkg-config, else none.
prefix=${LLAMA_PREFIX:-}
if [[ -z $prefix ]] && command -v pkg-config >/dev/null && pkg-config --exists llama; then
  prefix=$(pkg-config --variable=prefix llama)
  say "using the llama.cpp that pkg-config knows, in $prefix (LLAMA_PREFIX=none builds one instead)"
fi
[[ $prefix == none ]] && prefix=
prefix_library=
if [[ -n $prefix ]]; then
  [[ -f $prefix/include/llama.h ]] || die "LLAMA_PREFIX=$prefix has no include/llama.h"
  for candidate in "$prefix/lib" "$prefix"/lib/*-linux-gnu "$prefix/lib64"; do
    if [[ -e $candidate/libllama.so ]]; then prefix_library=$candidate; fi
  done
  [[ -n $prefix_library ]] || die "LLAMA_PREFIX=$prefix has no lib/libllama.so"
fi

key=$(
  {
    cat "${BASH_SOURCE[0]}" "$here"/llama/*
    printf '%s\n' "$version" "$sha256" "$accel" "${extra_flags[*]-}" "$prefix"
    printf '%s\n' "${CC:-}" "${CXX:-}" "${CFLAGS:-}" "${CXXFLAGS:-}"
    "${CXX:-c++}" --version
    if [[ -n $prefix ]]; then sha256sum "$prefix/include/llama.h" "$prefix_library/libllama.so"; fi
    # x86 says flags, ARM Features; virtual machines list them in no fixed order.
    grep -m1 -E '^(flags|Features)' /proc/cpuinfo | cut -d: -f2 | tr ' ' '\n' | sort
  } | sha256sum | cut -d' ' -f1
)
if [[ -f $destination/stamp && $(<"$destination/stamp") == "$key" ]]; then
  say "up to date"
  exit 0
fi

need cmake cmake 'pip install cmake'
need ninja ninja-build 'pip install ninja'
if python3 -m pip --version >/dev/null 2>&1; then
  pip=(python3 -m pip)
elif command -v pip3 >/dev/null; then
  pip=(pip3)
else
  pip=()
fi

fetch() {
  if [[ -f $cache/$archive ]] && echo "$sha256  $cache/$archive" | sha256sum --check --status; then return; fi
  ((${#pip[@]})) || die "pip is missing: install it with 'apt-get install python3-pip'"
  say "downloading llama.cpp's sources (77 MB)"
  mkdir -p "$cache"
  local partial
  partial=$(mktemp -d "$cache/llama.XXXXXX")
  # shellcheck disable=SC2064 # the directory is fixed now
  trap "rm -rf '$partial'" EXIT
  "${pip[@]}" download --quiet --disable-pip-version-check --no-deps --no-binary "$package" --dest "$partial" \
    "$package==$version" || die "the download of $package $version failed: is this machine online?"
  [[ -f $partial/$archive ]] || die "pip did not deliver $archive"
  echo "$sha256  $partial/$archive" | sha256sum --check --status ||
    die "$archive has another checksum than the pinned one: nothing was built"
  mv "$partial/$archive" "$cache/$archive"
  rm -rf "$partial"
  trap - EXIT
}

source=$engines/src/llama-$version
build=$engines/build/llama-$accel
fetch
if [[ ! -f $source/complete ]]; then
  say "unpacking"
  rm -rf "$source"
  mkdir -p "$source"
  tar -xzf "$cache/$archive" -C "$source" --strip-components=3 "llama_cpp_python-$version/vendor/llama.cpp"
  touch "$source/complete"
fi

say "building for $accel with $jobs jobs (two to five minutes on two cores)"
started=$SECONDS
log=$engines/build/llama-$accel.log
mkdir -p "$build"
rm -f "$build/CMakeCache.txt"
targets=(llama-chat)
[[ -n $prefix ]] || targets+=(llama)
if ! {
  nice cmake -S "$here/llama" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLLAMA_SOURCE="$source" \
    -DLLAMA_PREFIX="$prefix" -DGGML_NATIVE=ON -DGGML_CCACHE=OFF "${accel_flags[@]}" "${extra_flags[@]}" &&
    nice ninja -C "$build" -j "$jobs" "${targets[@]}"
} >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  if [[ -n $prefix ]]; then
    die "the chat part of llama.cpp $version does not build against $prefix: use LLAMA_PREFIX=none"
  fi
  die "the build failed; the whole log is $log"
fi

staged=$engines/llama.staged
rm -rf "$staged"
mkdir -p "$staged/include/common" "$staged/lib"
cp -R "$source"/common/*.h "$source"/common/jinja "$staged/include/common/"
rm -f "$staged"/include/common/jinja/*.cpp
cp "$build/libllama-chat.a" "$staged/lib/"
if [[ -n $prefix ]]; then
  cp "$prefix"/include/{llama,ggml,gguf}*.h "$staged/include/"
  # The libraries stay where they are: the engine finds them by absolute path.
  for library in "$prefix_library"/lib{llama,ggml}*.so*; do ln -s "$library" "$staged/lib/"; done
  printf '%s\n' "$prefix_library" >"$staged/prefix"
else
  cp "$source"/include/*.h "$source"/ggml/include/*.h "$staged/include/"
  cp -P "$build"/bin/lib*.so* "$staged/lib/"
  find "$staged/lib" -type f -name '*.so*' -exec strip --strip-unneeded {} +
fi
cp "$source/LICENSE" "$staged/LICENSE"
printf '%s\n' "$key" >"$staged/stamp"
rm -rf "$destination"
mv "$staged" "$destination"
say "built in $((SECONDS - started)) s: $(du -shL "$destination/lib" | cut -f1) in $destination/lib"
