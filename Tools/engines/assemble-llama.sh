#!/usr/bin/env bash
# Puts the llama plugin together: Tools/engines/assemble-llama.sh DESTINATION [BUILD]
#
# DESTINATION becomes a plugin directory that needs nothing else of this tree: plugin.yaml, README.md, LICENSE files,
# llama-engine and lib/*.so*, which the engine finds by $ORIGIN/lib. BUILD is where `swift build` left llama-engine;
# without it the engine is built first.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
destination=${1:?usage: assemble-llama.sh DESTINATION [BUILD]}
plugin=$root/Plugins/llama
engine=$root/.engines/llama
if [[ ! -f $engine/stamp ]]; then
  echo "assemble-llama: .engines/llama is missing: run 'make engines' first" >&2
  exit 1
fi

flags=(-c release --static-swift-stdlib --package-path "$plugin")
build=${2:-}
if [[ -z $build ]]; then
  swift build "${flags[@]}" --product llama-engine
  build=$(swift build "${flags[@]}" --show-bin-path)
fi

staged=$(mktemp -d "$(dirname "$destination")/.llama.XXXXXX" 2>/dev/null) || {
  mkdir -p "$(dirname "$destination")"
  staged=$(mktemp -d "$(dirname "$destination")/.llama.XXXXXX")
}
trap 'rm -rf "$staged"' EXIT
chmod 755 "$staged"
mkdir "$staged/lib"
cp "$plugin/plugin.yaml" "$plugin/README.md" "$staged/"
cp "$engine/LICENSE" "$staged/LICENSE.llama.cpp"
cp "$build/llama-engine" "$staged/llama-engine"
strip "$staged/llama-engine"
if [[ -f $engine/prefix ]]; then
  # An installation of the user's own stays where it is.
  rmdir "$staged/lib"
  ln -s "$(<"$engine/prefix")" "$staged/lib"
else
  # Only the names that the loader asks for (libllama.so.0), as plain files.
  for library in "$engine"/lib/lib*.so; do
    soname=$(objdump -p "$library" | awk '$1 == "SONAME" { print $2 }')
    cp -L "$library" "$staged/lib/${soname:-$(basename "$library")}"
  done
fi
rm -rf "$destination"
mv "$staged" "$destination"
trap - EXIT
