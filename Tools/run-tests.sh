#!/usr/bin/env bash
# Everything that tests need, then all tests: lint, unit tests, real processes, real engines. `make test` runs it.
#
# Each runner's output ends with "N passed, N failed" (and ", N skipped"); the last line here is their sum. A runner that
# fails without such a line, or that ran nothing, counts as one failure. Logs are kept in .build/test-logs.
#
#   Tools/run-tests.sh [RUNNER...]   only these runners, by the names that are printed
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. Tools/demo-home.sh
wanted=("$@")
logs=.build/test-logs
model=smollm2-135m-instruct
whisper_model=whisper-tiny.en
voice=piper-en_US-joe-medium

Tools/install-packages.sh test
rm -rf "$logs"
mkdir -p "$logs"

passed=0 failed=0 skipped=0 summary=()
declare -A beside_pid beside_started

is_wanted() {
  ((${#wanted[@]} == 0)) && return 0
  local name
  for name in "${wanted[@]}"; do [[ $name == "$1" ]] && return 0; done
  return 1
}

# finish_runner NAME STATUS SECONDS: adds the counts of the log's last count line.
finish_runner() {
  local name=$1 status=$2 seconds=$3 log=$logs/$1.log line
  local p=0 f=0 s=0
  line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -n 1 || true)
  if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
    p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[4]:-0}
  fi
  if ((f == 0 && (status != 0 || p == 0))); then
    f=1
    line="${line:-no count}, exit status $status"
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  summary+=("$(printf '%-14s %5s s  %s' "$name" "$seconds" "$line")")
}

# runner NAME COMMAND...: shows its output and counts it.
runner() {
  local name=$1 status=0 started=$SECONDS
  shift
  is_wanted "$name" || return 0
  printf '\n== %s\n' "$name"
  "$@" 2>&1 </dev/null | tee "$logs/$name.log" || status=${PIPESTATUS[0]}
  finish_runner "$name" "$status" $((SECONDS - started))
}

# beside NAME COMMAND...: the same beside what runs until `collect NAME`, which shows and counts it. For runners that use
# one processor and no clock that is tight.
beside() {
  local name=$1
  shift
  is_wanted "$name" || return 0
  beside_started[$name]=$SECONDS
  "$@" >"$logs/$name.log" 2>&1 </dev/null &
  beside_pid[$name]=$!
}
collect() {
  local name=$1 status=0
  is_wanted "$name" || return 0
  wait "${beside_pid[$name]}" || status=$?
  printf '\n== %s\n' "$name"
  cat "$logs/$name.log"
  finish_runner "$name" "$status" $((SECONDS - beside_started[$name]))
}

# step NAME COMMAND...: what the runners need; without it they cannot go on.
step() {
  local name=$1
  shift
  printf '\n== %s\n' "$name"
  if ! "$@"; then
    failed=$((failed + 1))
    summary+=("$(printf '%-14s          it failed; what comes after it was not run' "$name")")
    finish
  fi
}

finish() {
  printf '\n'
  printf '%s\n' "${summary[@]}"
  printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
  if ((failed == 0 && passed > 0)); then exit 0; else exit 1; fi
}

# swift_tests NAME ARGUMENT...: builds and runs the tests of a package, and ends with a count of its report.
swift_tests() {
  local report=$logs/$1-tests.xml status=0
  shift
  swift build --build-tests "$@" || return
  # One test at a time: they start processes, measure time and watch this machine, and blocked pools starve each other.
  swift test --skip-build --disable-xctest --no-parallel --xunit-output "$report" "$@" || status=$?
  # Beside XCTest's report, the one of Swift Testing has another name; without XCTest it may have this one.
  [[ -f ${report%.xml}-swift-testing.xml ]] && report=${report%.xml}-swift-testing.xml
  python3 Tools/count-tests.py "$report" || return
  return "$status"
}

# The engines' libraries beside the host: the host's optimiser works on one processor for most of its time.
libraries_and_host() {
  local status=0
  Tools/build.sh host >"$logs/host-build.log" 2>&1 &
  Tools/engines.sh || status=$?
  wait $! || { status=$? && cat "$logs/host-build.log"; }
  return "$status"
}

# model_path ID: the path of a model's first file, as the catalogue gives it.
model_path() {
  dist/bin/stoker models list --json --home "$STOKER_TEST_HOME" |
    python3 -c 'import json, sys
models = json.load(sys.stdin)["models"]
print(next(model["path"] for model in models if model["id"] == sys.argv[1]))' "$1"
}

fetch_models() {
  local name
  for name in "$model" "$whisper_model" "$voice"; do
    dist/bin/stoker models pull "$name" --home "$STOKER_TEST_HOME" || return
  done
  STOKER_TEST_MODEL=$(model_path "$model") && STOKER_TEST_WHISPER=$(model_path "$whisper_model") &&
    STOKER_TEST_VOICE=$(model_path "$voice") || return
  [[ -f $STOKER_TEST_MODEL && -f $STOKER_TEST_WHISPER && -f $STOKER_TEST_VOICE ]] || return
  export STOKER_TEST_MODEL
  # No trained weights of an image model can be had everywhere: random ones do every step, and make noise.
  python3 Tools/models/sd-fixture.py "$STOKER_TEST_CHECKPOINT"
}

# For the tests of the whole: the built program, a home whose models they may read, and the model's file.
STOKER_TEST_HOME=$(demo_home)
export STOKER_TEST_HOME
export STOKER_TEST_DIST=$root/dist
export STOKER_TEST_CHECKPOINT=$root/.engines/fixtures/sd-noise.safetensors
export STOKER_TEST_SPEECH=$root/.engines/whisper/samples/jfk.wav

runner lint Tools/lint.sh
step engines libraries_and_host
step build Tools/build.sh
step models fetch_models

runner swift swift_tests swift
runner ffmpeg-engine python3 Plugins/ffmpeg/Tests/engine_test.py dist/plugins/ffmpeg
for name in llama whisper sdcpp; do runner "$name-package" swift_tests "$name" --package-path "Plugins/$name"; done
runner llama-engine python3 Plugins/llama/Tests/engine_test.py dist/plugins/llama "$STOKER_TEST_MODEL"
beside whisper-engine python3 Plugins/whisper/Tests/engine_test.py dist/plugins/whisper "$STOKER_TEST_WHISPER" \
  "$STOKER_TEST_SPEECH"
runner sdcpp-engine python3 Plugins/sdcpp/Tests/engine_test.py dist/plugins/sdcpp "$STOKER_TEST_CHECKPOINT"
collect whisper-engine
runner piper-engine python3 Plugins/piper/Tests/engine_test.py dist/plugins/piper "$STOKER_TEST_VOICE"
for script in Tests/*/run.py; do
  [[ -f $script ]] && runner "$(basename "$(dirname "$script")")" python3 "$script"
done
finish
