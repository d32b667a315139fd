#!/usr/bin/env bash
# __NAME__: an engine of the kind llm. It says the last message in capital letters, a word at a time: put your model there.
. "$(dirname "$0")/stoker_engine.sh" # first: now nothing that prints can harm the wire

run() {
  local said='' word at=0 words=()
  jq -e '.[-1].content | type == "string"' <<<"${TASK[messages]-null}" >/dev/null 2>&1 ||
    stoker_fail bad_input "The last of task.messages needs a text as its content."
  mapfile -t words < <(jq -r '.[-1].content | ascii_upcase | splits("\\s+") | select(. != "")' <<<"${TASK[messages]}")
  for word in "${words[@]}"; do
    stoker_pause "${CONFIG[pace]}" # `config` in plugin.yaml declares it, and the operator sets it
    at=$((at + 1))
    stoker_chunk "$word " # waits for credit
    said+="$word "
    stoker_progress "$at" "${#words[@]}" words
  done
  stoker_quote "$said"
  stoker_output '{"object":"chat.completion","model":"__NAME__","choices":[{"index":0,"finish_reason":"stop",
    "message":{"role":"assistant","content":'"$REPLY"'}}],
    "usage":{"prompt_tokens":'"$at,\"completion_tokens\":$at,\"total_tokens\":$((2 * at))"'}}'
}

stoker_serve __NAME__ 0.1.0
