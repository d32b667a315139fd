#!/usr/bin/env bash
# Builds dist/: bin/stoker, libexec/stoker/launch, plugins/synthetic, and plugins/llama once .engines/llama is there.
#
# dist/ is a prefix: it runs where it stands, and `make install` copies it. Swift's own libraries are linked into the
# programs, so that a machine without Swift can run them.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
dist=dist
stamps=.build/dist-stamps
flags=(-c release --static-swift-stdlib -Xlinker --no-export-dynamic)

say() { printf 'build: %s\n' "$*"; }

# is_current STAMP PATH...: whether nothing at the paths changed since the stamp, and the compiler is the same.
# Directories count, so a removed file does, too.
compiler=$(swift --version 2>/dev/null)
is_current() {
  local stamp=$stamps/$1
  shift
  [[ -f $stamp && $(<"$stamp") == "$compiler" ]] || return 1
  [[ -z $(find "$@" -newer "$stamp" -print -quit) ]]
}
# begin STAMP, finish STAMP: what is edited while it builds is newer than the stamp.
begin() {
  mkdir -p "$stamps"
  printf '%s\n' "$compiler" >"$stamps/$1.new"
}
finish() { mv "$stamps/$1.new" "$stamps/$1"; }

# place FILE DESTINATION: a stripped copy, whole at once even if the old one runs.
place() {
  mkdir -p "$(dirname "$2")"
  strip -o "$2.new" "$1"
  chmod 755 "$2.new"
  mv "$2.new" "$2"
}

host_inputs=(Package.swift Tools/build.sh Sources Plugins/synthetic Plugins/ffmpeg)
host_outputs=(
  "$dist/bin/stoker" "$dist/libexec/stoker/launch" "$dist/plugins/synthetic/synthetic-engine"
  "$dist/plugins/ffmpeg/ffmpeg-engine"
)
have_all() {
  local file
  for file in "$@"; do [[ -x $file ]] || return 1; done
}
if ! { have_all "${host_outputs[@]}" && is_current host "${host_inputs[@]}"; }; then
  begin host
  started=$SECONDS
  say "the host and the plugins without a library of their own (five to ten minutes the first time on two cores)"
  for product in stoker launch synthetic-engine ffmpeg-engine; do swift build "${flags[@]}" --product "$product"; done
  built=$(swift build "${flags[@]}" --show-bin-path)
  place "$built/stoker" "$dist/bin/stoker"
  place "$built/launch" "$dist/libexec/stoker/launch"
  place "$built/synthetic-engine" "$dist/plugins/synthetic/synthetic-engine"
  place "$built/ffmpeg-engine" "$dist/plugins/ffmpeg/ffmpeg-engine"
  for plugin in synthetic ffmpeg; do
    cp Plugins/$plugin/plugin.yaml Plugins/$plugin/README.md "$dist/plugins/$plugin/"
  done
  finish host
  say "$dist/bin/stoker has $(du -h --apparent-size "$dist/bin/stoker" | cut -f1), built in $((SECONDS - started)) s"
fi

llama_inputs=(
  Package.swift Tools/build.sh Tools/engines/assemble-llama.sh .engines/llama/stamp Sources/PluginProtocol
  Plugins/llama/{Package.swift,plugin.yaml,README.md,Sources}
)
if [[ ! -f .engines/llama/stamp ]]; then
  say "without the llama plugin: its library is not built; run 'make engines' and then 'make build'"
elif ! { have_all "$dist/plugins/llama/llama-engine" && is_current llama "${llama_inputs[@]}"; }; then
  begin llama
  say "the llama plugin"
  Tools/engines/assemble-llama.sh "$dist/plugins/llama"
  finish llama
fi
say "$dist/ is up to date"
