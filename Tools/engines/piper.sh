#!/usr/bin/env bash
# Installs Piper and onnxruntime into .engines/piper/lib, for the piper plugin.
#
#   Tools/engines/piper.sh   install, or say at once that everything is up to date
#   PYTHON=/path/to/python3  the Python that will run the engine; 3.9 or newer; the default is python3
#   STOKER_CACHE=/path       where downloads are kept; the default is .engines/downloads
#
# Packages come as wheels that Plugins/piper/requirements.txt pins by checksum, and without packages that only other uses
# of them need. lib/ is a directory of modules and not a virtual environment, so that it can be moved; it belongs to one
# minor version of Python, which the file `python` names, with the place of the one that was used.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
destination=$root/.engines/piper
cache=${STOKER_CACHE:-$root/.engines/downloads}/piper
requirements=$root/Plugins/piper/requirements.txt

say() { printf 'engines/piper: %s\n' "$*"; }
die() {
  printf 'engines/piper: %s\n' "$*" >&2
  exit 1
}

python=${PYTHON:-python3}
command -v "$python" >/dev/null || die "$python is missing: install it with 'apt-get install python3 python3-pip'"
# The interpreter itself: not a shim that chooses one, and not a virtual environment that may be removed.
{
  read -r version
  read -r program
} < <("$python" -c 'import sys
print("%d.%d" % sys.version_info[:2])
print(getattr(sys, "_base_executable", "") or sys.executable)')
[[ -n ${program:-} ]] || die "$python does not run; is the installation whole?"
case $version in
  3.9 | 3.1[0-4]) ;;
  *) die "$python is Python $version, and Piper's libraries are here for 3.9 to 3.14: name another one in PYTHON" ;;
esac

key=$(cat "${BASH_SOURCE[0]}" "$requirements" <(printf '%s\n' "$version" "$program" "$(uname -m)") |
  sha256sum | cut -d' ' -f1)
if [[ -f $destination/stamp && $(<"$destination/stamp") == "$key" ]]; then
  say "up to date"
  exit 0
fi

"$python" -m pip --version >/dev/null 2>&1 || die "pip is missing for $python: install it with 'apt-get install python3-pip'"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
options=(--quiet --no-deps --only-binary :all: --require-hashes --requirement "$requirements")
started=$SECONDS
staged=$root/.engines/piper.staged
rm -rf "$staged"
mkdir -p "$staged" "$cache"
install_packages() {
  "$python" -m pip install "${options[@]}" --no-index --find-links "$cache" --no-compile --target "$staged/lib"
}
if ! install_packages >/dev/null 2>&1; then
  say "downloading Piper and onnxruntime for Python $version (75 MB)"
  "$python" -m pip download "${options[@]}" --dest "$cache" ||
    die "the download failed: is this machine online, and are there wheels for Python $version on $(uname -m)?"
  rm -rf "$staged/lib"
  install_packages || die "the installation failed"
fi

# What speaking does not use: training, servers, tools and tests.
lib=$staged/lib
cp "$lib"/piper_tts-*.dist-info/licenses/COPYING "$staged/LICENSE.piper-tts"
cp "$lib"/onnxruntime/LICENSE "$staged/LICENSE.onnxruntime"
cp "$lib"/numpy-*.dist-info/LICENSE.txt "$staged/LICENSE.numpy" 2>/dev/null ||
  cp "$lib"/numpy-*.dist-info/licenses/LICENSE.txt "$staged/LICENSE.numpy"
rm -rf "$lib"/bin "$lib"/COPYING "$lib"/*.data "$lib"/piper/{train,templates,img} \
  "$lib"/onnxruntime/{transformers,quantization,tools,datasets}
find "$lib/numpy" -type d -name tests -prune -exec rm -rf {} +
# By content and not by time, so that copies are not compiled again at each start.
"$program" -m compileall -q --invalidation-mode unchecked-hash "$lib" ||
  die "the installed modules do not compile with Python $version"
"$program" -E -s -S -B -c 'import sys
sys.path.insert(0, sys.argv[1])
import piper, onnxruntime' "$lib" || die "the installed libraries do not load on this machine"

printf '%s\n' "$version" "$program" >"$staged/python"
printf '%s\n' "$key" >"$staged/stamp"
rm -rf "$destination"
mv "$staged" "$destination"
say "installed in $((SECONDS - started)) s: $(du -sh "$destination/lib" | cut -f1) for Python $version"
