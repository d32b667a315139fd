// swift-tools-version: 6.2
import PackageDescription

// The native library that Tools/engines/llama.sh builds or points to.
let engine = "\(Context.packageDirectory)/../../.engines/llama"

let package = Package(
  name: "llama",
  products: [.executable(name: "llama-engine", targets: ["llama-engine"])],
  dependencies: [.package(name: "stoker", path: "../..")],
  targets: [
    .target(
      name: "CLlama",
      cxxSettings: [
        .unsafeFlags(["-I\(engine)/include", "-I\(engine)/include/common", "-Wno-unused-command-line-argument"])
      ],
      linkerSettings: [
        .unsafeFlags([
          "-L\(engine)/lib", "-Xlinker", "-rpath", "-Xlinker", "$ORIGIN/lib",
          // Builds in place run against the library where it was built.
          "-Xlinker", "-rpath-link", "-Xlinker", "\(engine)/lib",
        ]),
        .linkedLibrary("llama-chat"), .linkedLibrary("llama"), .linkedLibrary("ggml"), .linkedLibrary("ggml-base"),
      ]),
    .target(
      name: "LlamaText",
      dependencies: [.product(name: "PluginProtocol", package: "stoker")]),
    .executableTarget(
      name: "llama-engine",
      dependencies: ["CLlama", "LlamaText", .product(name: "PluginProtocol", package: "stoker")],
      path: "Sources/LlamaEngine"),
    .testTarget(name: "LlamaTextTests", dependencies: ["LlamaText"]),
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx17
)

for target in package.targets where target.name != "CLlama" {
  target.swiftSettings = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
  ]
}
