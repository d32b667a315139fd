#!/usr/bin/env bash
# __NAME__: an engine of the kind video. It makes a GIF of a bar that fills: put your program there.
. "$(dirname "$0")/stoker_engine.sh" # first: now nothing that prints can harm the wire

# The numbers as two bytes each, the smaller first: little VALUE...
little() {
  local value bytes
  for value in "$@"; do
    printf -v bytes '\\x%02x' $((value & 255)) $((value >> 8 & 255))
    printf '%b' "$bytes"
  done
}

# A frame of two colours, the bar's and the ground's: frame WIDTH HEIGHT BAR HUNDREDTHS. Its codes are bytes as long as each
# 125 pixels are followed by the code that clears the table, 0x80: GIF's format, not compressed.
frame() {
  local width=$1 height=$2 bar=$3 row ground picture blocks='' at piece count
  printf -v row '%*s' "$bar" '' && row=${row// /1}
  printf -v ground '%*s' $((width - bar)) '' && row+=${ground// /0}
  printf -v picture '%*s' "$height" '' && picture=${picture// /$row}
  for ((at = 0; at < width * height; at += 125)); do
    piece=${picture:at:125}
    printf -v count '\\x%02x\\x80' $((${#piece} + 1))
    blocks+=$count
    piece=${piece//0/\\x00}
    blocks+=${piece//1/\\x01}
  done
  printf '\x21\xf9\x04\x00' && little "$4" && printf '\x00\x00\x2c\x00\x00\x00\x00' && little "$width" "$height"
  printf '\x00\x07%b\x01\x81\x00' "$blocks"
}

run() {
  local width height fps frames at first colours
  stoker_text ext gif
  [[ $REPLY == gif ]] || stoker_fail unsupported "This engine makes gif; ask for that, or leave the format out."
  stoker_number width 64 16 256 && width=${REPLY%%.*}
  stoker_number height 64 16 256 && height=${REPLY%%.*}
  stoker_number fps 10 1 25 && fps=${REPLY%%.*}
  stoker_number seconds 2 0.1 30
  frames=$(awk -v seconds="$REPLY" -v fps="$fps" 'BEGIN { n = int(seconds * fps); print n < 1 ? 1 : n }')
  stoker_text prompt && first=$(printf '%d' "'${REPLY:0:1}")
  colours=$(printf '\\x%02x' 16 16 16 $((64 + first * 3 % 192)) $((64 + first * 10 % 192)) $((64 + first * 17 % 192)))
  { # 128 colours, of which two are used
    printf 'GIF89a' && little "$width" "$height" && printf '\xf6\x00\x00%b' "$colours" && head -c 378 /dev/zero
    for ((at = 1; at <= frames; at++)); do
      stoker_pause "${CONFIG[pace]}" # `config` in plugin.yaml declares it, and the operator sets it
      frame "$width" "$height" $((width * at / frames)) $((100 / fps))
      stoker_progress "$at" "$frames" drawing
    done
    printf '\x3b'
  } >video.gif || stoker_fail resource "cannot write the file."
  stoker_artifact video.gif image/gif
  stoker_output "{\"ext\":\"gif\",\"width\":$width,\"height\":$height,\"fps\":$fps,\"frames\":$frames}"
}

stoker_serve __NAME__ 0.1.0
