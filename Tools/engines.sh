#!/usr/bin/env bash
# Builds or refreshes the engines' libraries in .engines/: Tools/engines.sh [all|llama|whisper|sdcpp|piper]...
#
# Each has a script of its own in Tools/engines, which says at once when there is nothing to do.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
known=(llama whisper sdcpp piper)
wanted=("$@")
if ((${#wanted[@]} == 0)) || [[ " ${wanted[*]} " == *" all "* ]]; then wanted=("${known[@]}"); fi
for name in "${wanted[@]}"; do
  if [[ " ${known[*]} " != *" $name "* ]]; then
    echo "engines: there is no engine $name to build; use ${known[*]} or all" >&2
    exit 2
  fi
done
for name in "${wanted[@]}"; do "$root/Tools/engines/$name.sh"; done
