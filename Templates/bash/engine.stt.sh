#!/usr/bin/env bash
# __NAME__: an engine of the kind audio_stt. It says how long a WAV file is, a second at a time: put your recogniser there.
. "$(dirname "$0")/stoker_engine.sh" # first: now nothing that prints can harm the wire

# Milliseconds of a WAV file of plain samples, from its first 44 bytes and its size.
milliseconds() {
  local rate
  [[ $(head -c 4 -- "$1" | tr -d '\0') == RIFF && $(tail -c +9 -- "$1" | head -c 4 | tr -d '\0') == WAVE ]] || return 1
  rate=$(od -An -tu4 -j28 -N4 -- "$1")
  ((rate > 0)) && REPLY=$(($(stat -c %s -- "$1") * 1000 / rate - 44000 / rate))
}

run() {
  local total start end text='' segments=''
  stoker_input inputUrl
  milliseconds "$REPLY" || stoker_fail bad_input "task.inputUrl is no WAV file, and this engine reads no other."
  total=$REPLY
  for ((start = 0; start < total; start += 1000)); do
    stoker_pause "${CONFIG[pace]}" # `config` in plugin.yaml declares it, and the operator sets it
    end=$((start + 1000 < total ? start + 1000 : total))
    local said="second $((start / 1000 + 1))"
    local segment="{\"start\":$((start / 1000)),\"end\":$((end / 1000)).$(printf %03d $((end % 1000))),\"text\":\"$said\"}"
    stoker_chunk_json data "$segment" # waits for credit
    segments+=${segments:+,}$segment
    text+=${text:+, }$said
    stoker_progress "$end" "$total" listening
  done
  local duration
  duration=$(printf '%d.%03d' $((total / 1000)) $((total % 1000)))
  stoker_output "{\"text\":\"$text\",\"language\":\"en\",\"duration\":$duration,\"segments\":[$segments]}"
  stoker_usage "{\"audioSeconds\":$duration}"
}

stoker_serve __NAME__ 0.1.0
