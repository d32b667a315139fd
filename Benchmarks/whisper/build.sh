#!/usr/bin/env bash
# Builds the bare libwhisper loop against .engines/whisper: Benchmarks/whisper/build.sh OUTPUT
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
engine=$here/../../.engines/whisper
output=${1:?usage: build.sh OUTPUT}
if [[ ! -f $engine/stamp ]]; then
  echo "Benchmarks/whisper: .engines/whisper is missing: run 'make engines' first" >&2
  exit 1
fi
library=$engine/lib
if [[ -f $engine/prefix ]]; then library=$(<"$engine/prefix"); fi
"${CXX:-c++}" -std=c++17 -O2 -Wall -Wextra "$here/bare_loop.cpp" -o "$output" -I "$engine/include" \
  -L "$library" -lwhisper -lggml -lggml-base "-Wl,-rpath,$(cd "$library" && pwd)" "-Wl,-rpath-link,$library"
