#!/usr/bin/env bash
# __NAME__: an engine of the kind audio_tts. It gives a tone for each word: put your voice there.
. "$(dirname "$0")/stoker_engine.sh" # first: now nothing that prints can harm the wire

rate=16000

# The numbers as little-endian bytes: little BYTES VALUE...
little() {
  local bytes=$1 value at out=''
  for value in "${@:2}"; do
    for ((at = 0; at < bytes; at++)); do out+=$(printf '\\x%02x' $((value >> 8 * at & 255))); done
  done
  printf '%b' "$out"
}

# Mono samples of 16 bits, a square wave: tone LETTERS COUNT. The longer the word the deeper the tone; it ends in silence.
tone() {
  local half=$((rate * $1 / 1760 + 1)) period high low
  printf -v high '%*s' "$half" ''
  printf -v low '%s' "${high// /\\x00\\xf0}"
  period=${high// /\\x00\\x10}$low
  { while printf '%b' "$period" 2>/dev/null; do :; done; } | head -c $((2 * $2 * 3 / 4 / 2 * 2))
  head -c $((2 * $2 - 2 * $2 * 3 / 4 / 2 * 2)) /dev/zero
}

run() {
  local words count at=0 size
  stoker_text ext wav
  [[ $REPLY == wav ]] || stoker_fail unsupported "This engine makes wav; ask for that, or leave the format out."
  stoker_number speed 1 0.25 4
  count=$(awk -v rate="$rate" -v speed="$REPLY" 'BEGIN { printf "%d", rate / 5 / speed }')
  stoker_text text
  read -r -d '' -a words <<<"$REPLY"
  ((${#words[@]})) || stoker_fail bad_input "task.text has no words."
  for word in "${words[@]}"; do
    stoker_pause "${CONFIG[pace]}" # `config` in plugin.yaml declares it, and the operator sets it
    tone "${#word}" "$count" >piece
    cat piece >>samples
    stoker_chunk_json data "\"$(base64 -w 0 piece)\"" # waits for credit
    at=$((at + 1))
    stoker_progress "$at" "${#words[@]}" speaking
  done
  size=$(stat -c %s samples)
  {
    printf 'RIFF' && little 4 $((36 + size)) && printf 'WAVEfmt ' && little 4 16 && little 2 1 1
    little 4 "$rate" $((2 * rate)) && little 2 2 16 && printf 'data' && little 4 "$size" && cat samples
  } >speech.wav || stoker_fail resource "cannot write the file."
  stoker_artifact speech.wav audio/wav
  stoker_output "{\"ext\":\"wav\",\"duration\":$(awk -v n="$size" -v r="$rate" 'BEGIN { print n / 2 / r }'),\"sampleRate\":$rate,\"channels\":1}"
}

stoker_serve __NAME__ 0.1.0
