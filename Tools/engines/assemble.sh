#!/usr/bin/env bash
# Puts the plugin of a native library together: Tools/engines/assemble.sh NAME DESTINATION [BUILD]
#
# NAME is llama, whisper or sdcpp. DESTINATION becomes a plugin directory that needs nothing else of this tree:
# plugin.yaml, README.md, LICENSE files, NAME-engine and lib/*.so*, which the engine finds by $ORIGIN/lib. BUILD is
# where `swift build` left NAME-engine; without it the engine is built first.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
usage='usage: assemble.sh NAME DESTINATION [BUILD]'
name=${1:?$usage}
destination=${2:?$usage}
plugin=$root/Plugins/$name
engine=$root/.engines/$name
case $name in
  llama) library=llama.cpp ;;
  whisper) library=whisper.cpp ;;
  sdcpp) library=stable-diffusion.cpp ;;
  *)
    echo "assemble: there is no plugin $name of a native library; use llama, whisper or sdcpp" >&2
    exit 2
    ;;
esac
if [[ ! -f $engine/stamp ]]; then
  echo "assemble: .engines/$name is missing: run 'make engines' first" >&2
  exit 1
fi

flags=(-c release --static-swift-stdlib --package-path "$plugin")
build=${3:-}
if [[ -z $build ]]; then
  swift build "${flags[@]}" --product "$name-engine"
  build=$(swift build "${flags[@]}" --show-bin-path)
fi

mkdir -p "$(dirname "$destination")"
staged=$(mktemp -d "$(dirname "$destination")/.$name.XXXXXX")
trap 'rm -rf "$staged"' EXIT
chmod 755 "$staged"
mkdir "$staged/lib"
cp "$plugin/plugin.yaml" "$plugin/README.md" "$staged/"
if [[ -f $engine/LICENSE ]]; then cp "$engine/LICENSE" "$staged/LICENSE.$library"; fi
for license in "$engine"/LICENSE.*; do
  if [[ -f $license ]]; then cp "$license" "$staged/"; fi
done
cp "$build/$name-engine" "$staged/$name-engine"
strip "$staged/$name-engine"
if [[ -f $engine/prefix ]]; then
  # An installation of the user's own stays where it is.
  rmdir "$staged/lib"
  ln -s "$(<"$engine/prefix")" "$staged/lib"
else
  # Only the names that the loader asks for (libllama.so.0), as plain files.
  for shared in "$engine"/lib/lib*.so; do
    soname=$(objdump -p "$shared" | awk '$1 == "SONAME" { print $2 }')
    cp -L "$shared" "$staged/lib/${soname:-$(basename "$shared")}"
  done
fi
rm -rf "$destination"
mv "$staged" "$destination"
trap - EXIT
