#!/usr/bin/env bash
# The kit for engines in Bash: this one file, Bash 5, jq and what every Debian has. README.md shows its use.
#
# Source it first: from then on stdout is the log, so that what programs print cannot harm the wire. It does the handshake,
# framing, cancel, credit, ping and shutdown of the engine protocol; you write `run`, which does one job in a process of its
# own, with the job's empty work directory as its working directory:
#
#   TASK[name]  CONFIG[name]   texts as they are, everything else as JSON; unset when absent
#   JOB_KIND  JOB_MODEL        what is wanted
#   PLUGIN                     the plugin's directory
#
# Functions that find something leave it in REPLY. A job that is cancelled is killed with all that it started.
if [[ -t 0 ]]; then
  echo "this is an engine of the stoker host: 'stoker plugins lint' and 'stoker plugins test' check it" >&2
  exit 64 # EX_USAGE of sysexits.h
fi
if ! command -v jq >/dev/null; then
  echo "this engine needs jq: apt-get install jq" >&2
  exit 69 # EX_UNAVAILABLE
fi
export LC_ALL=C.UTF-8
exec {STOKER_IN}<&0 {STOKER_OUT}>&1 </dev/null 1>&2
declare -A TASK=() CONFIG=() STOKER_TEXTS=()
PLUGIN=$(cd "$(dirname "$0")" && pwd) STOKER_VERSION=1
STOKER_SCRATCH=$(mktemp -d) STOKER_LINE_BYTES=1048576 STOKER_CHUNK_BYTES=262144

# --- What `run` uses.

# stoker_fail CLASS MESSAGE: ends the job with one sentence for the caller. CLASS says whose fault it is: bad_input is the
# caller's, engine_fault the engine's own, resource a full disk or memory, transient passing trouble, unsupported what this
# engine cannot do at all.
stoker_fail() {
  STOKER_CLASS=$1 STOKER_MESSAGE=$2
  exit 1
}

# stoker_text NAME [DEFAULT]: a text of the task; without DEFAULT it must be there.
stoker_text() {
  REPLY=${TASK[$1]-${2-}}
  [[ -v TASK[$1] || $# -gt 1 ]] || stoker_fail bad_input "task.$1 is missing."
  [[ ! -v TASK[$1] || -v STOKER_TEXTS[$1] ]] || stoker_fail bad_input "task.$1 must be a text."
}

# stoker_number NAME DEFAULT LEAST MOST: a number of the task, within bounds.
stoker_number() {
  REPLY=${TASK[$1]-$2}
  [[ ! -v STOKER_TEXTS[$1] && $REPLY =~ ^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$ ]] &&
    awk -v value="$REPLY" -v least="$3" -v most="$4" 'BEGIN { exit !(value >= least && value <= most) }' ||
    stoker_fail bad_input "task.$1 must be a number from $3 to $4."
}

# stoker_input NAME: the path of a file that the job brought.
stoker_input() {
  local url=${TASK[$1]-}
  REPLY=
  if [[ $url == file:///* && $url != *[?#]* ]]; then
    url=${url#file://}
    url=${url//\\/\\\\}
    printf -v REPLY '%b' "${url//%/\\x}"
  fi
  [[ -f $REPLY ]] || stoker_fail bad_input "task.$1 must be the file: URL of a regular file."
}

# stoker_quote TEXT: the text, which is UTF-8, as a JSON string. For text that may not be UTF-8 use `jq -Rs .`.
stoker_quote() {
  local text=$1 code character
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  text=${text//$'\t'/\\t}
  if [[ $text == *[[:cntrl:]]* ]]; then
    for code in {1..31}; do
      printf -v character '%b' "\\x$(printf '%02x' "$code")"
      text=${text//"$character"/"\\u$(printf '%04x' "$code")"}
    done
  fi
  REPLY="\"$text\""
}

# stoker_chunk_json MEMBER JSON: sends a piece of the result, at most 256 KiB; waits while the host's credit is used up.
stoker_chunk_json() {
  local id through
  ((${#2} <= STOKER_CHUNK_BYTES)) || stoker_fail engine_fault "A chunk is over 256 KiB."
  [[ $STOKER_FEATURES == *chunks* ]] || return 0
  while ((STOKER_SENT >= STOKER_THROUGH)); do
    read -r -u "$STOKER_CREDIT" id through || exit 1
    [[ $id != "$STOKER_JOB" ]] || ((through <= STOKER_THROUGH)) || STOKER_THROUGH=$through
  done
  STOKER_SENT=$((STOKER_SENT + 1))
  stoker_send "\"method\":\"job/chunk\",\"params\":{\"jobId\":$STOKER_JOB,\"seq\":$STOKER_SENT,\"$1\":${2//$'\n'/ }}"
}

# stoker_chunk TEXT: sends a text, which is not to be cut inside a character.
stoker_chunk() {
  stoker_quote "$1"
  stoker_chunk_json text "$REPLY"
}

# stoker_progress DONE ALL STAGE: how much is done, in whole numbers, and a word for what goes on. Ten a second are sent.
stoker_progress() {
  local now=${EPOCHREALTIME/[.,]/} share
  [[ $STOKER_FEATURES == *progress* ]] && ((now - STOKER_REPORTED >= 100000)) || return 0
  STOKER_REPORTED=$now
  printf -v share '%d.%03d' $(($1 / $2)) $((1000 * ($1 % $2) / $2))
  stoker_quote "$3"
  stoker_send "\"method\":\"job/progress\",\"params\":{\"jobId\":$STOKER_JOB,\"fraction\":$share,\"stage\":$REPLY}"
}

# stoker_pause MILLISECONDS: waits.
stoker_pause() {
  local seconds
  printf -v seconds '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
  sleep "$seconds"
}

# stoker_artifact NAME TYPE: declares a file of the work directory. The first is the result.
stoker_artifact() {
  local bytes
  bytes=$(stat -c %s -- "$STOKER_WORK/$1") || stoker_fail engine_fault "The file $1 was not written."
  stoker_quote "$1"
  STOKER_ARTIFACTS+=${STOKER_ARTIFACTS:+,}"{\"name\":$REPLY,\"contentType\":\"$2\",\"bytes\":$bytes}"
}

# stoker_output JSON, stoker_usage JSON: the result, an object each. Line breaks between its parts do no harm.
stoker_output() { STOKER_OUTPUT=${1//$'\n'/ }; }
stoker_usage() { STOKER_USAGE=${1//$'\n'/ }; }

# --- The wire. Who writes holds the lock: the job's process and this one both do.

stoker_send() {
  { flock 9 && printf '{"jsonrpc":"2.0",%s}\n' "$1" >&"$STOKER_OUT"; } 9>"$STOKER_SCRATCH/lock"
}

stoker_refuse() { # ID CODE MESSAGE [CLASS]
  stoker_quote "$3"
  stoker_send "\"id\":$1,\"error\":{\"code\":$2,\"message\":$REPLY${4:+,\"data\":{\"class\":\"$4\"\}}}"
}

# Answers the job, once: whoever makes the directory does, and nobody is killed who holds the lock.
stoker_answer() {
  {
    flock 9 && mkdir "$STOKER_SCRATCH/answered.$STOKER_REQUEST" 2>/dev/null &&
      printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$STOKER_REQUEST" "$1" >&"$STOKER_OUT"
  } 9>"$STOKER_SCRATCH/lock"
}

# Runs in the job's process when it ends, however it does.
stoker_job_ended() {
  local status=$1 code
  local result="\"result\":{\"output\":$STOKER_OUTPUT,\"artifacts\":[$STOKER_ARTIFACTS]${STOKER_USAGE:+,\"usage\":$STOKER_USAGE}}"
  if ((status == 0 && ${#result} > STOKER_LINE_BYTES - 64)); then
    status=1 STOKER_CLASS=engine_fault STOKER_MESSAGE="The result is over 1 MiB: write a file."
  fi
  ((status)) || {
    stoker_answer "$result"
    return
  }
  case $STOKER_CLASS in
    bad_input) code=-32001 ;; resource) code=-32003 ;; transient) code=-32004 ;; unsupported) code=-32005 ;;
    *) code=-32002 STOKER_CLASS=engine_fault ;;
  esac
  stoker_quote "${STOKER_MESSAGE:-The engine failed with status $status: its log says more.}"
  stoker_answer "\"error\":{\"code\":$code,\"message\":$REPLY,\"data\":{\"class\":\"$STOKER_CLASS\"}}"
}

stoker_start_job() { # CREDIT
  rm -rf "$STOKER_SCRATCH"/answered.*
  set -m # a process group of its own, so that all of it can be killed
  (
    set +m
    trap 'stoker_job_ended $?' EXIT
    STOKER_THROUGH=$1 STOKER_SENT=0 STOKER_REPORTED=0 STOKER_OUTPUT={} STOKER_ARTIFACTS='' STOKER_USAGE=''
    STOKER_CLASS='' STOKER_MESSAGE=''
    exec {STOKER_IN}<&- {STOKER_MESSAGES}<&-
    cd "$STOKER_WORK" && run
  ) &
  STOKER_PID=$!
  set +m
}

# Ends the job that runs, if one does, and answers it.
stoker_end_job() {
  [[ -n $STOKER_PID ]] || return 0
  {
    flock 9
    kill -KILL -- "-$STOKER_PID"
    wait "$STOKER_PID"
  } 9>"$STOKER_SCRATCH/lock" 2>/dev/null
  stoker_answer '"error":{"code":-32800,"message":"The job was cancelled.","data":{"class":"cancelled"}}'
  STOKER_PID=''
}

stoker_leave() {
  stoker_end_job
  [[ -z ${1-} ]] || stoker_send "\"id\":$1,\"result\":{}"
  kill "$STOKER_READER" 2>/dev/null
  rm -rf "$STOKER_SCRATCH"
  exit 0
}

# Puts NAME=JSON pairs into an array: texts as they are.
stoker_pairs() {
  local -n array=$1
  local pair value
  array=() STOKER_TEXTS=()
  for pair in "${@:2}"; do
    value=${pair#*=}
    if [[ $value == \"* ]]; then
      if [[ $value == *'\u0000'* ]]; then # what Bash's texts end at becomes U+FFFD, but \\u0000 is no escape
        value=${value//'\\'/$'\x01'}
        value=${value//'\u0000'/'\ufffd'}
        value=${value//$'\x01'/'\\'}
      fi
      printf -v value '%b' "${value:1:-1}"
      STOKER_TEXTS[${pair%%=*}]=1
    fi
    array[${pair%%=*}]=$value
  done
}

# One line a message, its fields parted by the unit separator, which JSON writes as an escape. The last line of the input
# is none when it has no LF.
STOKER_FILTER='
def pairs: if type == "object" then to_entries[] | select(.value != null and (.key | test("^[A-Za-z][A-Za-z0-9_]*$")))
  | "\(.key)=\(.value | tojson)" else empty end;
foreach inputs as $line (0; . + 1; if input_line_number < . then empty else $line end)
| select(length > 0)
| if utf8bytelength > 1048576 then "!A line is over the cap of 1048576 bytes."
  else (try [fromjson] catch []) as $read | $read[0] as $m
  | if ($read | length) == 0 then "!!A line is not JSON."
    elif ($m | type) != "object" or $m.jsonrpc != "2.0" or (($m.params // {}) | type) != "object"
      or (($m.method | type) != "string" and ($m | has("result") or has("error") | not))
    then "!A line is JSON, but no JSON-RPC 2.0 message."
    else ($m.params // {}) as $p
    | [($m.method | tojson), ($m.id | tojson), ($p.jobId | tojson), ($p.through // $p.credit // 64 | tojson),
       ($p.kind | tojson), ($p.workDirectory | tojson), (($p.model // {}) | .id? | tojson), ($p.task | type),
       ([($p.protocolVersions // [])[] | select(. == 1)] | length | tojson),
       ([($p.features // [])[] | select(. == "chunks" or . == "progress") | tojson] | join(",")),
       (if $m.method == "initialize" then $p.config else $p.task end | pairs)] | join("\u001f")
    end
  end'

# stoker_serve NAME VERSION: serves until the host asks for shutdown or closes the wire.
stoker_serve() {
  local name=$1 version=$2 ready='' line field id params
  STOKER_PID='' STOKER_FEATURES=''
  mkfifo "$STOKER_SCRATCH/credit"
  exec {STOKER_CREDIT}<>"$STOKER_SCRATCH/credit"
  exec {STOKER_MESSAGES}< <(exec jq -nRr --unbuffered "$STOKER_FILTER" <&"$STOKER_IN" {STOKER_OUT}>&-)
  STOKER_READER=$!
  exec {STOKER_IN}<&-
  while IFS= read -r -u "$STOKER_MESSAGES" line; do
    case $line in
      '!!'*) stoker_refuse null -32700 "${line:2}" && continue ;;
      '!'*) stoker_refuse null -32600 "${line:1}" && continue ;;
    esac
    IFS=$'\x1f' read -r -a field <<<"$line"
    id=${field[1]}
    case ${field[0]}:$id in
      '"job/cancel":null') [[ ${field[2]} != "${STOKER_JOB-}" ]] || stoker_end_job ;;
      '"job/credit":null') [[ -z $STOKER_PID ]] || printf '%s %s\n' "${field[2]}" "${field[3]}" >&"$STOKER_CREDIT" ;;
      null:* | *:null) ;;
      '"ping":'*) stoker_send "\"id\":$id,\"result\":{}" ;;
      '"shutdown":'*) stoker_leave "$id" ;;
      '"initialize":'*)
        if [[ -n $ready ]]; then
          stoker_refuse "$id" -32600 "initialize was sent before."
        elif [[ ${field[8]} == 0 ]]; then
          stoker_refuse "$id" -32005 "This engine speaks protocol version $STOKER_VERSION, the host does not." unsupported
        else
          stoker_pairs CONFIG "${field[@]:10}"
          if declare -F initialize >/dev/null && ! initialize; then
            stoker_refuse "$id" -32002 "The engine cannot start: its log says why." engine_fault
          else
            ready=yes STOKER_FEATURES=${field[9]}
            params="\"protocolVersion\":1,\"engine\":{\"name\":\"$name\",\"version\":\"$version\"}"
            stoker_send "\"id\":$id,\"result\":{$params,\"features\":[$STOKER_FEATURES],\"concurrency\":1}"
          fi
        fi
        ;;
      '"job/run":'*)
        if [[ -z $ready ]]; then
          stoker_refuse "$id" -32600 "job/run came before initialize was answered."
        elif [[ ${field[2]} != \"* || ${field[5]} != '"/'* || ${field[7]} != object ]]; then
          stoker_refuse "$id" -32602 "job/run needs jobId, workDirectory and task."
        elif [[ -n $STOKER_PID && ! -d $STOKER_SCRATCH/answered.$STOKER_REQUEST ]]; then
          stoker_refuse "$id" -32004 "This engine takes one job at a time." transient
        else
          [[ -z $STOKER_PID ]] || wait "$STOKER_PID" 2>/dev/null
          STOKER_JOB=${field[2]} STOKER_REQUEST=$id
          printf -v JOB_KIND '%b' "${field[4]:1:-1}"
          printf -v STOKER_WORK '%b' "${field[5]:1:-1}"
          JOB_MODEL=''
          [[ ${field[6]} != \"* ]] || printf -v JOB_MODEL '%b' "${field[6]:1:-1}"
          stoker_pairs TASK "${field[@]:10}"
          stoker_start_job "${field[3]}"
        fi
        ;;
      *) stoker_refuse "$id" -32601 "This engine has no such method." ;;
    esac
  done
  stoker_leave
}
