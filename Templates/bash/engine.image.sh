#!/usr/bin/env bash
# __NAME__: an engine of the kind image. It draws stripes whose colours come from the prompt: put your program there.
. "$(dirname "$0")/stoker_engine.sh" # first: now nothing that prints can harm the wire

# The numbers as bytes, the greatest first: big VALUE...
big() {
  local value bytes
  for value in "$@"; do
    printf -v bytes '\\x%02x' $((value >> 24 & 255)) $((value >> 16 & 255)) $((value >> 8 & 255)) $((value & 255))
    printf '%b' "$bytes"
  done
}

# One chunk of a PNG file: part NAME FILE. gzip's last eight bytes have the CRC-32 that PNG wants.
part() {
  { printf '%s' "$1" && cat "$2"; } >body
  big "$(stat -c %s "$2")"
  cat body
  big "$(gzip -c body | tail -c 8 | od -An -tu4 -N4 --endian=little)"
}

# A PNG file of stripes: png WIDTH HEIGHT SHADE..., a shade of 0 to 255 for each row.
png() {
  local width=$1 height=$2 low=1 high=0 shade row pixel
  shift 2
  printf -v row '%*s' "$width" ''
  for shade in "$@"; do # a row is a 0 and its pixels; zlib's sum of it, RFC 1950
    high=$(((high + low * (width + 1) + shade * (width * (width + 1) / 2)) % 65521))
    low=$(((low + shade * width) % 65521))
    printf -v pixel '\\x%02x' "$shade"
    printf '\0%b' "${row// /$pixel}"
  done >rows
  { printf '\x78\x01' && gzip -nc rows | tail -c +11 | head -c -8 && big $((high << 16 | low)); } >data
  { big "$width" "$height" && printf '\x08\x00\x00\x00\x00'; } >head
  : >nothing
  printf '\x89PNG\r\n\x1a\n'
  part IHDR head && part IDAT data && part IEND nothing
}

run() {
  local width height y letter shade prompt shades=()
  stoker_text ext png
  [[ $REPLY == png ]] || stoker_fail unsupported "This engine makes png; ask for that, or leave the format out."
  stoker_number width 64 16 1024 && width=${REPLY%%.*}
  stoker_number height 64 16 1024 && height=${REPLY%%.*}
  stoker_text prompt && prompt=$REPLY
  for ((y = 0; y < height; y++)); do
    letter=${prompt:$((y * ${#prompt} / height)):1}
    printf -v shade '%d' "'$letter"
    shades+=($((shade * 7 % 256)))
    ((y % 8)) && continue
    stoker_pause "${CONFIG[pace]}" # `config` in plugin.yaml declares it, and the operator sets it
    stoker_progress "$y" "$height" drawing
  done
  png "$width" "$height" "${shades[@]}" >image.png || stoker_fail resource "cannot write the file."
  stoker_artifact image.png image/png
  stoker_output "{\"ext\":\"png\",\"width\":$width,\"height\":$height}"
}

stoker_serve __NAME__ 0.1.0
