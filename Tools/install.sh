#!/usr/bin/env bash
# Copies dist/ to PREFIX (/usr/local), below DESTDIR when that is set. `make install` builds dist/ first.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dist=$root/dist
prefix=${PREFIX:-/usr/local}
if [[ $prefix != /* ]]; then
  echo "install: PREFIX=$prefix is not an absolute path" >&2
  exit 2
fi
target=${DESTDIR:-}$prefix

install -D -m 755 "$dist/bin/stoker" "$target/bin/stoker"
install -D -m 755 "$dist/libexec/stoker/launch" "$target/libexec/stoker/launch"
for tool in "$dist"/libexec/stoker/convert/*; do
  install -D -m 755 "$tool" "$target/libexec/stoker/convert/$(basename "$tool")"
done

# Each plugin is replaced whole: a worker that watches the directory never sees half of one.
mkdir -p "$target/share/stoker/plugins"
for plugin in "$dist"/plugins/*/; do
  name=$(basename "$plugin")
  staged=$(mktemp -d "$target/share/stoker/.$name.XXXXXX")
  cp -R --preserve=mode,links "$plugin/." "$staged/"
  chmod -R u=rwX,go=rX "$staged"
  rm -rf "$target/share/stoker/plugins/$name"
  mv "$staged" "$target/share/stoker/plugins/$name"
done
for part in templates sdks; do
  staged=$(mktemp -d "$target/share/stoker/.$part.XXXXXX")
  cp -R "$dist/share/stoker/$part/." "$staged/"
  chmod -R u=rwX,go=rX "$staged"
  rm -rf "$target/share/stoker/$part"
  mv "$staged" "$target/share/stoker/$part"
done
install -D -m 644 "$root/LICENSE" "$target/share/doc/stoker/LICENSE"

completion() { # SHELL FILE
  local text
  text=$("$dist/bin/stoker" --generate-completion-script "$1")
  mkdir -p "$(dirname "$2")"
  printf '%s\n' "$text" >"$2"
  chmod 644 "$2"
}
completion bash "$target/share/bash-completion/completions/stoker"
completion zsh "$target/share/zsh/site-functions/_stoker"
completion fish "$target/share/fish/vendor_completions.d/stoker.fish"

echo "install: stoker is in $target/bin, its plugins are in $target/share/stoker/plugins"
