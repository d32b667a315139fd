#!/usr/bin/env bash
# Text to speech with espeak-ng: a paragraph at a time, sent while it is spoken, and as one WAV file at the end.
. "$(dirname "$0")/stoker_engine.sh" # first: now nothing that prints can harm the wire

piece=49152 # bytes of sound in a chunk, about a second; base64 makes 64 KiB of them
normal=175  # words in a minute at speed 1, espeak-ng's own default
declare -A voices=() languages=() variants=()

# Once: which voices there are. What a job names is looked up here, so that only espeak-ng's own words reach its command line.
initialize() {
  local language name file rest
  command -v espeak-ng >/dev/null || {
    echo "espeak-ng is missing: apt-get install espeak-ng"
    return 1
  }
  while read -r _ language _ name file rest; do
    [[ $file == mb/* ]] && continue # needs mbrola's data, which is not in Debian
    voices[${file,,}]=$file languages[$file]=${language,,}
    : "${voices[${language,,}]:=$file}" "${voices[${name,,}]:=$file}"
    [[ ${language,,} != "${language%%-*}-${language%%-*}" ]] || voices[${language%%-*}]=$file # fr-fr is what fr means
  done < <(espeak-ng --voices | tail -n +2)
  while read -r _ _ _ name file rest; do
    name=${file#!v/}
    variants[${name,,}]=$name
  done < <(espeak-ng --voices=variant | tail -n +2)
  voice_named "${CONFIG[voice]}" || {
    echo "plugins.espeak-bash.voice is ${CONFIG[voice]@Q}, and espeak-ng --voices has no such voice"
    return 1
  }
}

# The voice that a name, a language or a file means, with a variant such as +f3 behind it; in REPLY.
voice_named() {
  local wanted=${1,,} variant='' file
  if [[ $wanted == ?*+?* ]]; then
    variant=${variants[${wanted#*+}]-}
    wanted=${wanted%%+*}
    [[ -n $variant ]] || return 1
  fi
  file=${wanted:+${voices[$wanted]-}}
  if [[ -z $file ]]; then # English_(America), or as people write it: English (America), en_US
    wanted=${wanted//_/-}
    file=${wanted:+${voices[$wanted]-${voices[${1// /_}]-${voices[${wanted// /_}]-}}}}
  fi
  [[ -n $file ]] && REPLY=$file${variant:++$variant}
}

# The voice of the task: `voice`, else that of `language`, else the operator's. One that speaks another language is refused.
choose_voice() {
  local voice language
  stoker_text voice default && voice=$REPLY
  stoker_text language '' && language=${REPLY//_/-} language=${language,,}
  local short=${language%%-*} own
  voice_named "${CONFIG[voice]}" && own=$REPLY
  if [[ $voice != default ]]; then
    voice_named "$voice" || stoker_fail bad_input "task.voice is none of espeak-ng's; 'espeak-ng --voices' lists them."
    [[ -z $language || ${languages[${REPLY%%+*}]%%-*} == "$short" ]] ||
      stoker_fail bad_input "task.voice speaks ${languages[${REPLY%%+*}]}, and task.language is another one."
  elif [[ -z $language || $language == "${languages[${own%%+*}]%%-*}" ]]; then
    REPLY=$own
  else
    voice_named "$language" || voice_named "$short" ||
      stoker_fail bad_input "task.language is none that espeak-ng speaks; 'espeak-ng --voices' lists them."
  fi
}

# The text as paragraphs, one a line. espeak-ng reads control characters as commands, and [[ as the beginning of phonemes:
# here text is text, and both are spaces. Markup is none without the option -m.
paragraphs() {
  tr '\000-\011\013-\037\177[]' ' ' <<<"$1" | sed 's/\xc2[\x80-\x9f]/ /g' |
    awk 'BEGIN { RS = "" } { gsub(/\n/, " ") } /[^ ]/'
}

# The numbers as little-endian bytes: little BYTES VALUE...
little() {
  local bytes=$1 value at out=''
  for value in "${@:2}"; do
    for ((at = 0; at < bytes; at++)); do out+=$(printf '\\x%02x' $((value >> 8 * at & 255))); done
  done
  printf '%b' "$out"
}

# Says one paragraph: adds its samples to the file, and sends them. The text goes in through stdin, never as an argument.
say() {
  local voice=$1 pace=$2 said=$3 sound
  exec {sound}< <(exec espeak-ng -b 1 -v "$voice" -s "$pace" --stdin --stdout <<<"$said")
  head -c 44 <&"$sound" >head
  [[ $(stat -c %s head) == 44 && $(head -c 4 head) == RIFF ]] ||
    stoker_fail engine_fault "espeak-ng gave no sound: its log says why."
  rate=$(od -An -tu4 -j24 -N4 head)
  while head -c "$piece" <&"$sound" >piece && [[ -s piece ]]; do
    cat piece >>samples || stoker_fail resource "cannot write the sound."
    stoker_chunk_json data "\"$(base64 -w 0 piece)\"" # waits for credit, and espeak-ng for us
  done
  exec {sound}<&-
  wait $! || stoker_fail engine_fault "espeak-ng failed with status $?: its log says why."
}

run() {
  local voice pace said done=0 all=0 bytes list=() rate=0
  stoker_text ext wav
  [[ ${REPLY,,} == wav ]] || stoker_fail unsupported "task.ext: this engine makes wav; ask for that, or leave it out."
  choose_voice && voice=$REPLY
  stoker_number speed 1 0.5 4 # espeak-ng speaks no slower than 80 words a minute
  pace=$(awk -v speed="$REPLY" -v normal="$normal" 'BEGIN { printf "%d", normal * speed + 0.5 }')
  stoker_text text
  ((${#REPLY} <= CONFIG[maxCharacters])) ||
    stoker_fail bad_input "task.text has ${#REPLY} characters; the operator allows ${CONFIG[maxCharacters]}."
  [[ $REPLY == *[[:alnum:]]* ]] || stoker_fail bad_input "task.text has nothing in it to say."
  mapfile -t list < <(paragraphs "$REPLY")
  for said in "${list[@]}"; do all=$((all + ${#said})); done
  : >samples
  for said in "${list[@]}"; do
    say "$voice" "$pace" "$said"
    done=$((done + ${#said}))
    stoker_progress "$done" "$all" speaking
  done
  bytes=$(stat -c %s samples)
  ((bytes > 0)) || stoker_fail bad_input "task.text has nothing in it that this voice says."
  {
    printf 'RIFF' && little 4 $((36 + bytes)) && printf 'WAVEfmt ' && little 4 16 && little 2 1 1
    little 4 "$rate" $((2 * rate)) && little 2 2 16 && printf 'data' && little 4 "$bytes" && cat samples
  } >speech.wav || stoker_fail resource "cannot write the file."
  rm -f samples piece head
  stoker_artifact speech.wav audio/wav
  local seconds
  seconds=$(awk -v n="$bytes" -v r="$rate" 'BEGIN { printf "%.3f", n / 2 / r }')
  stoker_output "{\"ext\":\"wav\",\"duration\":$seconds,\"sampleRate\":$((rate)),\"channels\":1}"
}

stoker_serve espeak-bash 1.0.0
