#!/usr/bin/env bash
# Prints every benchmark beside its floor or peer, measured in the same run. Needs dist/ and .engines/ (see `make bench`).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. Tools/demo-home.sh
flags=(-c release --static-swift-stdlib -Xlinker --no-export-dynamic)

for product in launch noop-engine pipe-echo stoker-bench; do swift build "${flags[@]}" --product "$product" >&2; done
built=$(swift build "${flags[@]}" --show-bin-path)

"$built/stoker-bench"
python3 Benchmarks/idle.py dist/bin/stoker dist/plugins/synthetic

home=$(demo_home)
dist/bin/stoker models pull smollm2-135m-instruct --home "$home" >&2
model=$(dist/bin/stoker models list --json --home "$home" |
  python3 -c 'import json, sys
print(next(m["path"] for m in json.load(sys.stdin)["models"] if m["id"] == "smollm2-135m-instruct"))')
bare=.build/bare-loop
Benchmarks/llama/build.sh "$bare" >&2
echo "Text generation beside a bare libllama loop: same model, prompt and threads"
python3 Benchmarks/llama/run.py dist/plugins/llama "$bare" "$model"
