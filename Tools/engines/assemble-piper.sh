#!/usr/bin/env bash
# Puts the piper plugin together: Tools/engines/assemble-piper.sh DESTINATION
#
# DESTINATION becomes a plugin directory that needs nothing else of this tree, and a Python of the version that the file
# `python` in it names: plugin.yaml, README.md, run, the engine's modules, the kit, lib/ and the licences.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
destination=${1:?usage: assemble-piper.sh DESTINATION}
plugin=$root/Plugins/piper
engine=$root/.engines/piper
if [[ ! -f $engine/stamp ]]; then
  echo "assemble-piper: .engines/piper is missing: run 'make engines' first" >&2
  exit 1
fi

mkdir -p "$(dirname "$destination")"
staged=$(mktemp -d "$(dirname "$destination")/.piper.XXXXXX")
trap 'rm -rf "$staged"' EXIT
chmod 755 "$staged"
cp "$plugin"/{plugin.yaml,README.md,run} "$plugin"/Sources/*.py "$root/SDKs/python/stoker_engine.py" "$staged/"
cp "$engine"/{python,LICENSE.*} "$staged/"
cp -R "$engine/lib" "$staged/lib"
rm -rf "$destination"
mv "$staged" "$destination"
trap - EXIT
