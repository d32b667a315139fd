# Sourced: what the scripts that build an engine's native library have in common.
#
# The sources come as a directory inside a source distribution on PyPI, pinned by its checksum; CMake and Ninja build
# them under .engines/build; what the plugin needs to build and to run is staged whole into .engines/NAME:
#
#   include/ lib/   the headers and the libraries
#   LICENSE         of the library; LICENSE.* of what is linked into it
#   prefix          only with an installed library: the directory that its shared libraries stay in
#   stamp           what all of it was built from; a script that finds its own key there has nothing to do
#
# A script sets the pinned package, then calls in this order (each ends the script with one sentence if it cannot):
#
#   native_package=llama-cpp-python native_version=0.3.36 native_sha256=... native_vendored=vendor/llama.cpp
#   native_setup llama llama.cpp                             names it; sets root, engines, destination, accel and jobs
#   native_accel -DGGML_CUDA=ON -DGGML_VULKAN=ON -DGGML_HIP=ON   the switches of ACCEL=cuda, vulkan and hip
#   native_installed llama.h libllama.so llama               sets prefix and prefix_library, or leaves them empty
#   native_stamp_or_exit FILE...                             ends the script with success when all is up to date
#   native_source                                            downloads and unpacks; sets source
#   native_build DIRECTORY "two to five minutes on two cores" TARGET... -- CMAKE-SWITCH...   sets build
#   native_stage                                             sets staged, an empty directory to fill
#   native_link_prefix llama ggml, or native_copy_libraries FILE...
#   native_publish LICENSE-FILE                              moves staged into place
#
# Read from the environment, where NAME is the name in capitals:
#
#   ACCEL=cpu|cuda|vulkan|hip   what to compute on; the default is cpu
#   NAME_PREFIX=/path           use the library installed there instead of building it; without it an installation that
#                               pkg-config knows is used; NAME_PREFIX=none builds in any case
#   NAME_CMAKE_ARGS="-D... "    further switches for CMake
#   STOKER_CACHE=/path          where downloads are kept; the default is .engines/downloads
#   JOBS=N                      processes at a time; the default is one for each processor
#
# The libraries are tuned to the processor of this machine (GGML_NATIVE): they are built where they run. The stamp
# therefore covers the processor's features besides the scripts, their inputs, the compiler and the switches, so that a
# tree that was copied to another machine is built again.
# shellcheck shell=bash disable=SC2034 # the variables are for the scripts that source this

say() { printf 'engines/%s: %s\n' "$native_name" "$*"; }
die() {
  printf 'engines/%s: %s\n' "$native_name" "$*" >&2
  exit 1
}
need() { command -v "$1" >/dev/null || die "$1 is missing: install it with 'apt-get install $2' or '$3'"; }

# native_setup NAME TITLE: the name of .engines/NAME, and what people call the library.
native_setup() {
  native_name=$1
  native_title=$2
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
  engines=$root/.engines
  destination=$engines/$native_name
  accel=${ACCEL:-cpu}
  jobs=${JOBS:-$(nproc)}
  native_cache=${STOKER_CACHE:-$engines/downloads}
  native_capitals=${native_name^^}
  local arguments=${native_capitals}_CMAKE_ARGS
  read -r -a native_extra_flags <<<"${!arguments:-}"
  command -v "${CXX:-c++}" >/dev/null ||
    die "there is no C++ compiler ${CXX:-c++}: install one with 'apt-get install g++', or name one in CXX"
}

# native_accel CUDA-SWITCH VULKAN-SWITCH HIP-SWITCH: chooses by ACCEL. A switch may be several words.
native_accel() {
  case $accel in
    cpu) native_accel_flags=() ;;
    cuda) read -r -a native_accel_flags <<<"$1" ;;
    vulkan) read -r -a native_accel_flags <<<"$2" ;;
    hip) read -r -a native_accel_flags <<<"$3" ;;
    *) die "ACCEL=$accel is not known; use cpu, cuda, vulkan or hip" ;;
  esac
}

# native_installed HEADER LIBRARY PKG-CONFIG-NAME: an installation by NAME_PREFIX, else pkg-config, else none.
native_installed() {
  local variable=${native_capitals}_PREFIX candidate
  native_header=$1
  native_library=$2
  prefix=${!variable:-}
  if [[ -z $prefix ]] && command -v pkg-config >/dev/null && pkg-config --exists "$3"; then
    prefix=$(pkg-config --variable=prefix "$3")
    say "using the $native_title that pkg-config knows, in $prefix ($variable=none builds one instead)"
  fi
  [[ $prefix == none ]] && prefix=
  prefix_library=
  [[ -n $prefix ]] || return 0
  [[ -f $prefix/include/$1 ]] || die "$variable=$prefix has no include/$1"
  for candidate in "$prefix/lib" "$prefix"/lib/*-linux-gnu "$prefix/lib64"; do
    if [[ -e $candidate/$2 ]]; then prefix_library=$candidate; fi
  done
  [[ -n $prefix_library ]] || die "$variable=$prefix has no lib/$2"
}

# native_stamp_or_exit FILE...: the files that the result depends on besides this one, the script itself among them.
native_stamp_or_exit() {
  native_key=$(
    {
      cat "${BASH_SOURCE[0]}" "$@"
      printf '%s\n' "$native_version" "$native_sha256" "$accel" "${native_extra_flags[*]-}" "$prefix"
      printf '%s\n' "${CC:-}" "${CXX:-}" "${CFLAGS:-}" "${CXXFLAGS:-}"
      "${CXX:-c++}" --version
      if [[ -n $prefix ]]; then sha256sum "$prefix/include/$native_header" "$prefix_library/$native_library"; fi
      # x86 says flags, ARM Features; virtual machines list them in no fixed order.
      grep -m1 -E '^(flags|Features)' /proc/cpuinfo | cut -d: -f2 | tr ' ' '\n' | sort
    } | sha256sum | cut -d' ' -f1
  )
  if [[ -f $destination/stamp && $(<"$destination/stamp") == "$native_key" ]]; then
    say "up to date"
    exit 0
  fi
}

native_find_pip() {
  if python3 -m pip --version >/dev/null 2>&1; then
    native_pip=(python3 -m pip)
  elif command -v pip3 >/dev/null; then
    native_pip=(pip3)
  else
    die "pip is missing: install it with 'apt-get install python3-pip'"
  fi
}

# Puts the pinned source distribution into the cache, unless it is there. pip runs the package's build description to
# learn its name, so the checksum is pip's to verify before that.
native_fetch() {
  local archive=$1 partial
  if [[ -f $native_cache/$archive ]] &&
    echo "$native_sha256  $native_cache/$archive" | sha256sum --check --status; then return; fi
  native_find_pip
  say "downloading $native_title's sources"
  mkdir -p "$native_cache"
  partial=$(mktemp -d "$native_cache/$native_name.XXXXXX")
  # shellcheck disable=SC2064 # the directory is fixed now
  trap "rm -rf '$partial'" EXIT
  echo "$native_package==$native_version --hash=sha256:$native_sha256" >"$partial/requirements"
  if ! "${native_pip[@]}" download --quiet --disable-pip-version-check --no-deps --no-binary "$native_package" \
    --dest "$partial" --require-hashes --requirement "$partial/requirements" >"$partial/log" 2>&1; then
    tail -n 20 "$partial/log" >&2
    if grep -q 'DO NOT MATCH THE HASHES' "$partial/log"; then
      die "$archive has another checksum than the pinned one: nothing was built"
    fi
    die "the download of $native_package $native_version failed: is this machine online?"
  fi
  [[ -f $partial/$archive ]] || die "pip did not deliver $archive"
  mv "$partial/$archive" "$native_cache/$archive"
  rm -rf "$partial"
  trap - EXIT
}

# native_source: source becomes the unpacked directory native_vendored of the package.
native_source() {
  local stem=${native_package//-/_}-$native_version parts
  need cmake cmake 'pip install cmake'
  need ninja ninja-build 'pip install ninja'
  source=$engines/src/$native_name-$native_version
  native_fetch "$stem.tar.gz"
  if [[ -f $source/complete ]]; then return; fi
  say "unpacking"
  rm -rf "$source"
  mkdir -p "$source"
  IFS=/ read -r -a parts <<<"$stem/$native_vendored"
  tar -xzf "$native_cache/$stem.tar.gz" -C "$source" --strip-components=${#parts[@]} "$stem/$native_vendored"
  touch "$source/complete"
}

# native_build DIRECTORY HOW-LONG TARGET... -- SWITCH...: builds the targets of the CMake project in DIRECTORY.
native_build() {
  local project=$1 duration=$2 log targets=()
  shift 2
  while (($#)) && [[ $1 != -- ]]; do
    targets+=("$1")
    shift
  done
  shift
  build=$engines/build/$native_name-$accel
  log=$build.log
  native_started=$SECONDS
  say "building for $accel with $jobs jobs ($duration)"
  mkdir -p "$build"
  # Switches of an earlier run must not linger.
  rm -f "$build/CMakeCache.txt"
  if ! {
    nice cmake -S "$project" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DGGML_CCACHE=OFF \
      "$@" "${native_accel_flags[@]}" "${native_extra_flags[@]}" &&
      nice ninja -C "$build" -j "$jobs" "${targets[@]}"
  } >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    if [[ -n $prefix ]]; then
      die "$native_title $native_version does not build against $prefix: use ${native_capitals}_PREFIX=none"
    fi
    die "the build failed; the whole log is $log"
  fi
}

native_stage() {
  staged=$destination.staged
  native_started=${native_started:-$SECONDS}
  rm -rf "$staged"
  mkdir -p "$staged/include" "$staged/lib"
}

# native_copy_libraries FILE...: shared libraries and the links to them, stripped.
native_copy_libraries() {
  cp -P "$@" "$staged/lib/"
  find "$staged/lib" -type f -name '*.so*' -exec strip --strip-unneeded {} +
}

# native_link_prefix STEM...: the installed libraries libSTEM*.so* stay where they are; the engine finds them by path.
native_link_prefix() {
  local stem library
  for stem in "$@"; do
    for library in "$prefix_library/lib$stem"*.so*; do
      if [[ -e $library ]]; then ln -s "$library" "$staged/lib/"; fi
    done
  done
  printf '%s\n' "$prefix_library" >"$staged/prefix"
}

# native_publish LICENSE-FILE: what was staged takes the place of what was there.
native_publish() {
  if [[ -f $1 ]]; then cp "$1" "$staged/LICENSE"; fi
  printf '%s\n' "$native_key" >"$staged/stamp"
  rm -rf "$destination"
  mv "$staged" "$destination"
  say "built in $((SECONDS - native_started)) s: $(du -shL "$destination/lib" | cut -f1) in $destination/lib"
}
