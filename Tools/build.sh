#!/usr/bin/env bash
# Builds dist/: bin/stoker, libexec/stoker/, plugins/synthetic and plugins/ffmpeg, and the plugins whose libraries are in
# .engines/.
#
#   Tools/build.sh [host]   everything, or only what needs no engine's library
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

host_inputs=(Package.swift Tools/build.sh Tools/models Sources Plugins/synthetic Plugins/ffmpeg)
host_outputs=(
  "$dist/bin/stoker" "$dist/libexec/stoker/launch" "$dist/plugins/synthetic/synthetic-engine"
  "$dist/plugins/ffmpeg/ffmpeg-engine" "$dist/libexec/stoker/convert/ctranslate2-to-ggml.py"
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
  install -D -m 755 Tools/models/ctranslate2-to-ggml.py "$dist/libexec/stoker/convert/ctranslate2-to-ggml.py"
  place "$built/synthetic-engine" "$dist/plugins/synthetic/synthetic-engine"
  place "$built/ffmpeg-engine" "$dist/plugins/ffmpeg/ffmpeg-engine"
  for plugin in synthetic ffmpeg; do
    cp Plugins/$plugin/plugin.yaml Plugins/$plugin/README.md "$dist/plugins/$plugin/"
  done
  finish host
  say "$dist/bin/stoker has $(du -h --apparent-size "$dist/bin/stoker" | cut -f1), built in $((SECONDS - started)) s"
fi

[[ ${1:-all} == all ]] || exit 0

# engine_plugin NAME PROGRAM ASSEMBLE INPUT...: a plugin whose library is in .engines/NAME.
engine_plugin() {
  local name=$1 program=$2 assemble=$3
  shift 3
  if [[ ! -f .engines/$name/stamp ]]; then
    say "without the $name plugin: its library is not built; run 'make engines' and then 'make build'"
    return
  fi
  if have_all "$dist/plugins/$name/$program" && is_current "$name" Tools/build.sh ".engines/$name/stamp" "$@"; then
    return
  fi
  begin "$name"
  say "the $name plugin"
  $assemble "$dist/plugins/$name"
  finish "$name"
}

for name in llama whisper sdcpp; do
  engine_plugin "$name" "$name-engine" "Tools/engines/assemble.sh $name" Tools/engines/assemble.sh Package.swift \
    Sources/PluginProtocol Plugins/$name/{Package.swift,plugin.yaml,README.md,Sources}
done
engine_plugin piper run Tools/engines/assemble-piper.sh Tools/engines/assemble-piper.sh SDKs/python/stoker_engine.py \
  Plugins/piper/{plugin.yaml,README.md,run,Sources}

# What `stoker plugins new` makes plugins from: the templates and the kits, laid out as in the checkout.
rm -rf "$dist/share/stoker/templates" "$dist/share/stoker/sdks"
mkdir -p "$dist/share/stoker"
cp -R Templates "$dist/share/stoker/templates"
cp -RL SDKs "$dist/share/stoker/sdks"
say "$dist/ is up to date"
