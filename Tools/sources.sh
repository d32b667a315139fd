# Sourced: lists the tree's own files, without what is built or downloaded. Works without git, too.

# sources PATTERN [DIRECTORY...]: files whose name matches, one a line, sorted.
sources() {
  local pattern=$1
  shift
  (($#)) || set -- Sources Tests Plugins Benchmarks Examples SDKs Tools Docs .ci
  local directory existing=()
  for directory in "$@"; do [[ -e $directory ]] && existing+=("$directory"); done
  ((${#existing[@]})) || return 0
  find "${existing[@]}" \( -name .build -o -name __pycache__ -o -path Tests/Fuzz/corpus \) -prune -o -type f -name "$pattern" -print | LC_ALL=C sort
}
