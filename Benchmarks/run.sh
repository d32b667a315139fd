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
for model in smollm2-135m-instruct gemma-3-270m whisper-tiny.en piper-en_US-joe-medium; do
  dist/bin/stoker models pull "$model" --home "$home" >&2
done
checkpoint=.engines/fixtures/sd-noise.safetensors
python3 Tools/models/sd-fixture.py "$checkpoint" >&2
path() {
  dist/bin/stoker models list --json --home "$home" | python3 -c 'import json, sys
print(next(m["path"] for m in json.load(sys.stdin)["models"] if m["id"] == sys.argv[1]))' "$1"
}
model=$(path smollm2-135m-instruct)
bare=.build/bare-loop
Benchmarks/llama/build.sh "$bare" >&2
echo "Text generation beside a bare libllama loop: same model, prompt and threads"
python3 Benchmarks/llama/run.py dist/plugins/llama "$bare" "$model"

bare=.build/bare-whisper
Benchmarks/whisper/build.sh "$bare" >&2
echo "Speech to text beside a bare libwhisper loop: same model, recording and threads"
python3 Benchmarks/whisper/run.py dist/plugins/whisper "$bare" "$(path whisper-tiny.en)" .engines/whisper/samples/jfk.wav
echo "Images: the first with its load, the second without"
python3 Benchmarks/sdcpp/run.py dist/plugins/sdcpp "$checkpoint"
python3 Benchmarks/models/run.py dist/bin/stoker "$home/models" "$checkpoint"
