// swift-tools-version: 6.2
import PackageDescription

// The native library that Tools/engines/whisper.sh builds or points to.
let engine = "\(Context.packageDirectory)/../../.engines/whisper"

let package = Package(
  name: "whisper",
  products: [.executable(name: "whisper-engine", targets: ["whisper-engine"])],
  dependencies: [.package(name: "stoker", path: "../..")],
  targets: [
    .target(
      name: "CWhisper",
      cxxSettings: [.unsafeFlags(["-I\(engine)/include", "-Wno-unused-command-line-argument"])],
      linkerSettings: [
        .unsafeFlags([
          "-L\(engine)/lib", "-Xlinker", "-rpath", "-Xlinker", "$ORIGIN/lib",
          // Builds in place run against the library where it was built.
          "-Xlinker", "-rpath-link", "-Xlinker", "\(engine)/lib",
        ]),
        .linkedLibrary("whisper"), .linkedLibrary("ggml"), .linkedLibrary("ggml-base"),
      ]),
    .target(
      name: "WhisperCore",
      dependencies: [.product(name: "PluginProtocol", package: "stoker")]),
    .executableTarget(
      name: "whisper-engine",
      dependencies: ["CWhisper", "WhisperCore", .product(name: "PluginProtocol", package: "stoker")],
      path: "Sources/WhisperEngine"),
    .testTarget(name: "WhisperCoreTests", dependencies: ["WhisperCore"]),
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx17
)

for target in package.targets where target.name != "CWhisper" {
  target.swiftSettings = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
  ]
}
