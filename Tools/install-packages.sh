#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that are missing: Tools/install-packages.sh [--check] build|test
#
#   build    what the host, the plugins and the engines' libraries are built from, and what fetches models
#   test     that, and what only the tests use
#   --check  installs nothing: names what is missing and exits 1
#
# Swift comes from swift.org and is not installed here.
set -euo pipefail

build=(
  ca-certificates git make pkg-config
  libsqlite3-dev libyaml-dev libcurl4-openssl-dev zlib1g-dev # the host
  libwebp-dev libpng-dev                          # the synthetic plugin
  g++ cmake ninja-build                           # llama.cpp
  python3 python3-pip                             # fetches llama.cpp's sources and models
)
test=(
  ffmpeg file sqlite3 jq nodejs
  espeak-ng libpocketsphinx-dev pocketsphinx-en-us imagemagick fonts-dejavu-core # Examples
)

say() { printf 'packages: %s\n' "$*"; }
die() {
  printf 'packages: %s\n' "$*" >&2
  exit 1
}

check=false
if [[ ${1:-} == --check ]]; then
  check=true
  shift
fi
case ${1:-build} in
  build) wanted=("${build[@]}") ;;
  test) wanted=("${build[@]}" "${test[@]}") ;;
  *) die "usage: install-packages.sh [--check] build|test" ;;
esac

require_swift() {
  command -v swift >/dev/null ||
    die "swift is missing: install Swift 6.3 or newer from https://www.swift.org/install/linux and put it in PATH"
  local version
  version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1)
  [[ -n $version ]] || die "'swift --version' does not name a version: is the installation whole?"
  if [[ $(printf '%s\n' 6.3 "$version" | sort -V | head -n 1) != 6.3 ]]; then
    die "swift $version is too old: install Swift 6.3 or newer from https://www.swift.org/install/linux"
  fi
}

# Another distribution: whether all is there shows when it is built.
if ! command -v dpkg-query >/dev/null; then
  say "this is neither Debian nor Ubuntu; what they call ${wanted[*]} must be installed"
  require_swift
  exit 0
fi

missing=()
for package in "${wanted[@]}"; do
  # The status alone: a package that was removed is still known.
  state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $state == *installed && $state != *not-installed* ]] || missing+=("$package")
done

if ((${#missing[@]})); then
  command="apt-get install --yes --no-install-recommends ${missing[*]}"
  $check && die "missing: ${missing[*]}. Install them with: sudo $command"
  if ((EUID == 0)); then
    root=()
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 && -z ${CI:-} ]]; }; then
    root=(sudo) # asks for the password when it has to
  else
    die "missing: ${missing[*]}. This user may not install them; run: sudo $command"
  fi
  say "installing ${missing[*]}"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120)
  if ! { "${apt[@]}" update && "${apt[@]}" install --yes --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "the installation failed; try it by hand: sudo $command"
  fi
fi
require_swift
