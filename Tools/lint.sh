#!/usr/bin/env bash
# Runs every check in Tools/lint/ (or those named) and ends with their count. A check is a script that prints what is
# wrong and exits 1, or prints why it cannot run here and exits 77.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
passed=0 failed=0 skipped=0
checks=(Tools/lint/*)
if (($#)); then checks=("${@/#/Tools/lint/}"); fi
for check in "${checks[@]}"; do
  [[ -x $check && -f $check ]] || continue
  name=$(basename "$check")
  status=0
  output=$("$check" 2>&1) || status=$?
  case $status in
    0)
      passed=$((passed + 1))
      printf 'ok    %s\n' "$name"
      ;;
    77)
      skipped=$((skipped + 1))
      printf 'skip  %s: %s\n' "$name" "$output"
      ;;
    *)
      failed=$((failed + 1))
      printf 'FAIL  %s\n' "$name"
      printf '%s\n' "$output" | sed 's/^/      /'
      ;;
  esac
done
printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
((failed == 0 && passed > 0))
