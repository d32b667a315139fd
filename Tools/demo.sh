#!/usr/bin/env bash
# One real job from nothing: packages, host, llama engine, model, a worker, an answer. `make demo` runs it.
#
# Everything of the demo's worker lies in .demo/, which may be removed. The second run has nothing to build or fetch.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. Tools/demo-home.sh
home=$(demo_home)
model=smollm2-135m-instruct
prompt=${PROMPT:-Why is the sky blue? Answer in two sentences.}
patience=30 # seconds until the worker must be ready

say() { printf '\ndemo: %s\n' "$*"; }
die() {
  printf 'demo: %s\n' "$*" >&2
  exit 1
}

say "packages, host, engine"
Tools/install-packages.sh build
Tools/engines/llama.sh
Tools/build.sh
stoker=$root/dist/bin/stoker
export STOKER_HOME=$home

say "the model $model"
"$stoker" models pull "$model"

worker=
stop() {
  local status=$?
  trap - EXIT INT TERM HUP
  if [[ -n $worker ]] && kill -TERM "$worker" 2>/dev/null; then
    for _ in {1..100}; do
      kill -0 "$worker" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$worker" 2>/dev/null || true
    wait "$worker" 2>/dev/null || true
  fi
  exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

if "$stoker" status --json >/dev/null 2>&1; then
  die "a worker runs on $home already; end it first: kill $(<"$home/data/stoker.lock")"
fi
log=$home/worker.log
say "a worker; its log is $log"
# In a session of its own: Ctrl-C cancels the job, and the worker is stopped when that has ended.
setsid "$stoker" run >"$log" 2>&1 </dev/null &
worker=$!
deadline=$((SECONDS + patience))
until "$stoker" status --json >/dev/null 2>&1; do
  if ! kill -0 "$worker" 2>/dev/null || ((SECONDS > deadline)); then
    tail -n 20 "$log" >&2
    die "the worker is not ready; its log is $log"
  fi
  sleep 0.05
done

say "$prompt"
status=0
"$stoker" submit llm --model "$model" --prompt "$prompt" --max-tokens 80 --stream -o "$home/answer.txt" || status=$?
if ((status != 0)); then
  echo "demo: the job ended with status $status; the worker's log is $log" >&2
  exit "$status"
fi

say "the answer is in $home/answer.txt; the job, as the worker keeps it:"
"$stoker" jobs
