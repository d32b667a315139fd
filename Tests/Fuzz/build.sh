#!/usr/bin/env bash
# Builds the fuzzers: one program, .build/fuzz/fuzz, that holds every target. libFuzzer and AddressSanitizer come with
# Swift's toolchain. Optimized as it is shipped, because the traps of the standard library's debug build would hide what
# the sanitizer has to find.
#
# Not a part of the package: SwiftPM would build everything twice. The host is compiled from the files listed here, as few
# as the targets need, in modules of the same names.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
out=.build/fuzz
mkdir -p "$out/include"

host=(
  Sources/Host/YAML/*.swift
  Sources/Host/Catalog/{FilePath,JobKind,ManifestFields,ModelPattern,PluginOption,PluginSettings}.swift
  Sources/Host/Catalog/PluginManifest*.swift
  Sources/Host/Configuration/{Configuration,HostConfiguration,MemoryConfiguration}*.swift
  Sources/Host/Control/{ControlClient,ControlFailure,ControlHandler,ControlLink,WakePipe}.swift
  Sources/Host/Devices/{DeviceAssignment,DeviceID,NVIDIAReport}.swift
  Sources/Host/Engines/Process/{ExecutableFormat,ProcessStatusRecord}.swift
  Sources/Host/Engines/Session/OverlongLine.swift
  Sources/Host/Inputs/{DataURL,InputFailure,InputSettings,InputSlot,InputSource,MediaKind,PublicAddress}.swift
  Sources/Host/Install/{Archive[!U]*,GzipInflater,PaxRecords,TarHeader,TarReader}.swift
  Sources/Host/Sandbox/{ProcessSandbox,SandboxConfiguration}.swift
  Sources/Host/Jobs/{JobID,Timestamp}.swift
  Sources/Host/Telemetry/{HostLog,LogFile,Wording}.swift
  Sources/Host/Models/{BuiltInModels,DownloadReply,FileFault,HTTPHead,RemoteURL,ResumeRecord}.swift
  Sources/Host/Models/Model{Catalogue,CatalogueFile,Entry,Error,FileReader,FileSource,Names}.swift
)
c=(Sources/CLinux/*.c Sources/CCurlShim/*.c)
version=$(swiftc --version 2>/dev/null; sha256sum "${BASH_SOURCE[0]}")

# changed NAME FILE...: whether something is to be made anew, because it was not made from these very texts.
changed() {
  local stamp=$out/$1.stamp name=$1
  shift
  made=$({ echo "$version"; sha256sum "$@"; } | sha256sum)
  [[ -f $out/$name.o && $(cat "$stamp" 2>/dev/null) == "$made" ]] && return 1
  rm -f "$stamp"
}

clang=$(dirname "$(readlink -f "$(command -v swiftc)")")/clang
for file in "${c[@]}"; do
  name=c-$(basename "$file" .c)
  changed "$name" "$file" "$(dirname "$file")"/include/*.h || continue
  "$clang" -O1 -g -fsanitize=address,fuzzer-no-link -I "$(dirname "$file")/include" -ISources/CLibCurl -c "$file" \
    -o "$out/$name.o"
  echo "$made" >"$out/$name.stamp"
done
cat >"$out/include/module.modulemap" <<EOF
module CLinux { umbrella header "$root/Sources/CLinux/include/CLinux.h" export * }
module CCurlShim { umbrella header "$root/Sources/CCurlShim/include/CCurlShim.h" export * }
EOF

# module NAME "MODULE..." FILE...: compiles a module, which imports the others, and whose internals the targets may use.
module() {
  local name=$1 imports=() import
  for import in $2; do imports+=("$out/$import.stamp"); done
  shift 2
  changed "$name" "$@" "${imports[@]}" || return 0
  swiftc -O -wmo -g -swift-version 6 -sanitize=address,fuzzer -enable-testing -package-name stoker -parse-as-library \
    -enable-upcoming-feature ExistentialAny -enable-upcoming-feature MemberImportVisibility \
    -I "$out" -I "$out/include" -I Sources/CLibYAML -I Sources/CZlib -I Sources/CLibCurl \
    -module-name "$name" -emit-module -emit-module-path "$out/$name.swiftmodule" -emit-object -o "$out/$name.o" "$@"
  echo "$made" >"$out/$name.stamp"
}
module PluginProtocol "" Sources/PluginProtocol/*/*.swift
module Host "PluginProtocol" "${host[@]}" Tests/Fuzz/StandIns.swift
module FFmpegTasks "PluginProtocol" Plugins/ffmpeg/Sources/FFmpegTasks/*.swift
module ImageTask "PluginProtocol" Plugins/sdcpp/Sources/ImageTask/*.swift
module WhisperCore "PluginProtocol" Plugins/whisper/Sources/WhisperCore/*/*.swift
module Fuzz "PluginProtocol Host FFmpegTasks ImageTask WhisperCore" Tests/Fuzz/Harness/*.swift
stale=1
if [[ -x $out/fuzz ]]; then stale=$(find "$out" -name '*.o' -newer "$out/fuzz" | wc -l); fi
((stale)) || exit 0
swiftc -sanitize=address,fuzzer -use-ld=lld -o "$out/fuzz" "$out"/*.o -lyaml -lz
