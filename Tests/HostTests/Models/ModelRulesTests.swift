import Foundation
import PluginProtocol
import Testing

@testable import Host

@Suite struct ModelRulesTests {
  @Test(arguments: [
    "https://example.com/m", "https://u:p@example.com/m?t=1", "http://localhost/m", "http://127.0.0.1:80/m",
    "http://127.9.8.7/m", "http://[::1]:8080/m",
  ])
  func acceptedURLs(text: String) throws { _ = try RemoteURL(text) }

  @Test(arguments: [
    "http://example.com/m", "http://10.0.0.1/m", "http://localhost.example.com/m", "http://127.0.0.1@example.com/m",
    "http://[::2]/m", "http://0.0.0.0/m", "ftp://example.com/m", "file:///etc/passwd", "example.com/m", "", "https://",
    "http://128.0.0.1/m",
  ])
  func refusedURLs(text: String) {
    let error = #expect(throws: ModelError.self) { try RemoteURL(text) }
    #expect(error?.kind == .refusedURL)
  }

  @Test func secretsOfURLsAreNotShown() throws {
    let url = try RemoteURL("https://ann:hunter2@example.com:8443/m.gguf?token=hunter3#hunter4")
    #expect(url.redacted == "https://example.com:8443/m.gguf?…")
    let error = #expect(throws: ModelError.self) { try RemoteURL("http://ann:hunter2@example.com/m?hunter3") }
    #expect(error?.message.contains("hunter") == false)
  }

  @Test func onlyLoopbackAddressesAreConnectedToUnencrypted() {
    func check(_ text: String, _ family: Int32) -> Bool {
      if family == AF_INET {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(family)
        inet_pton(family, text, &address.sin_addr)
        return withUnsafePointer(to: &address) {
          $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            RemoteURL.isLoopback(address: $0, length: MemoryLayout<sockaddr_in>.size)
          }
        }
      }
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(family)
      inet_pton(family, text, &address.sin6_addr)
      return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          RemoteURL.isLoopback(address: $0, length: MemoryLayout<sockaddr_in6>.size)
        }
      }
    }
    #expect(check("127.0.0.1", AF_INET) && check("127.255.0.1", AF_INET) && check("::1", AF_INET6))
    #expect(!check("10.0.0.1", AF_INET) && !check("::", AF_INET6) && !check("::ffff:10.0.0.1", AF_INET6))
  }

  @Test func repliesAreReadAsTheyMustBe() {
    func read(_ offset: Int64, _ status: Int, _ range: String? = nil, _ length: Int64? = nil) -> DownloadReply {
      DownloadReply.read(
        offset: offset, status: status, contentRange: range, contentLength: length, contentEncoding: nil)
    }
    #expect(read(0, 200, nil, 9) == .whole(total: 9))
    #expect(read(5, 200, nil, 9) == .whole(total: 9))
    #expect(read(5, 206, "bytes 5-8/9") == .append(total: 9))
    #expect(read(5, 206, "bytes 5-8/*") == .append(total: nil))
    for range in [
      "bytes 4-8/9", "bytes 5-7/9", "bytes 5-8/8", "bytes 5-4/9", "items 5-8/9", "bytes 5-8", "bytes -5-8/9", "x",
    ] {
      #expect(read(5, 206, range) == .startOver, "\(range)")
    }
    #expect(read(5, 206) == .startOver)
    #expect(read(5, 416) == .startOver)
    #expect(read(0, 302) == .redirect)
    for (offset, status) in [(0, 206), (0, 416), (0, 204), (5, 404), (0, 304), (0, 0)] as [(Int64, Int)] {
      guard case .refused = read(offset, status) else {
        Issue.record("status \(status) was not refused")
        continue
      }
    }
  }

  @Test func namesOnDisk() {
    #expect(ModelNames.onDisk("a:b c/é..x") == "a_b_c___..x")
    #expect(ModelNames.onDisk("..") == "_.")
    #expect(ModelNames.onDisk(".hidden") == "_hidden")
  }

  @Test(arguments: ["", ".", "..", "a/b", "/a", "a\nb", "a\0b", String(repeating: "x", count: 201)])
  func badFilenames(name: String) { #expect(ModelNames.problem(withFilename: name) != nil) }

  @Test func entriesWhoseFilesWouldMeetAreRefused() {
    func entry(_ names: [String]) -> ModelEntry {
      ModelEntry(
        id: "m", kind: .llm, engine: "e",
        files: names.map { CatalogueFile(role: "r", source: .url("https://example.com/"), filename: $0) })
    }
    #expect(ModelNames.problem(with: entry(["a", "b"])) == nil)
    for names in [["a", "a"], ["a b", "a_b"], ["a", "a.part"], ["a.part.json", "a"], []] {
      #expect(ModelNames.problem(with: entry(names)) != nil, "\(names)")
    }
    let bad = ModelEntry(id: "a/b", kind: .llm, engine: "e", files: entry(["a"]).files)
    #expect(ModelNames.problem(with: bad) != nil)
  }

  @Test(arguments: [
    ("--evil", "1", "m"), ("p", "1 --index-url=x", "m"), ("p", "==1", "m"), ("p", "1", "../m"), ("p", "1", "/m"),
    ("p", "1.*", "m"), ("p q", "1", "m"),
  ])
  func packagesThatAreNone(package: String, version: String, member: String) {
    let file = CatalogueFile(
      role: "m", source: .pypi(package: package, version: version, member: member), filename: "m")
    #expect(ModelNames.problem(with: file) != nil)
  }

  private func load(_ text: String) throws -> ModelCatalogue {
    let folder = try ModelTestFolder()
    let path = try folder.write("models.yaml", Array(text.utf8))
    return try ModelCatalogue.load(operatorFile: path, environment: ["HOME": "/home/ann"])
  }

  private func complaint(_ text: String) -> String {
    do {
      _ = try load(text)
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test func operatorsAddAndReplaceModels() throws {
    let catalogue = try load(
      """
      models:
        - id: smollm2-135m-instruct
          kind: llm
          engine: llama-cpp
          files: [{role: model, path: ~/m.gguf}]
        - id: other
          kind: audio_stt
          engine: whisper-cpp
          license: MIT
          files:
            - role: model
              url: https://example.com/dir/ggml.bin?download=1
              bytes: 2MiB
            - {role: extra, path: sub/x.bin, filename: extra.bin}
          options: {language: en, beams: 5}
      """)
    #expect(catalogue.entries.count == BuiltInModels.entries.count + 1)
    #expect(catalogue.entry("smollm2-135m-instruct")?.files.first?.source == .path("/home/ann/m.gguf"))
    let other = try #require(catalogue.entry("other"))
    #expect(other.files[0].filename == "ggml.bin" && other.files[0].bytes == 2 << 20)
    guard case .path(let path) = other.files[1].source else {
      Issue.record("not a path")
      return
    }
    #expect(path.hasPrefix("/") && path.hasSuffix("/sub/x.bin"))
    #expect(other.options == ["language": "en", "beams": 5])
  }

  @Test func aMissingFileIsAnEmptyOne() throws {
    let catalogue = try ModelCatalogue.load(operatorFile: "/nonexistent/models.yaml", environment: [:])
    #expect(Set(catalogue.entries) == Set(BuiltInModels.entries))
  }

  @Test func filesMayBeMadeOfOthers() throws {
    let hash = String(repeating: "ab", count: 32)
    let catalogue = try load(
      """
      models:
        - id: m
          kind: audio_stt
          engine: whisper-cpp
          files:
            - role: model
              filename: ggml.bin
              sha256: \(hash)
              bytes: 30
              convert:
                tool: ctranslate2-whisper
                from:
                  - filename: model.bin
                    bytes: 20
                    parts:
                      - {url: "https://example.com/a", bytes: 15, sha256: \(hash)}
                      - pypi: {package: p, version: "1", member: d/b}
                  - {pypi: {package: p, version: "1", member: d/vocabulary.txt}}
      """)
    let parts: [ModelPiece] = [
      ModelPiece(source: .url("https://example.com/a"), sha256: hash, bytes: 15),
      ModelPiece(source: .pypi(package: "p", version: "1", member: "d/b")),
    ]
    #expect(
      catalogue.entry("m")?.files == [
        CatalogueFile(
          role: "model",
          source: .convert(
            .ctranslate2Whisper,
            from: [
              ModelPiece(filename: "model.bin", source: .parts(parts), bytes: 20),
              ModelPiece(
                filename: "vocabulary.txt", source: .pypi(package: "p", version: "1", member: "d/vocabulary.txt")),
            ]), filename: "ggml.bin", sha256: hash, bytes: 30)
      ])
  }

  @Test(
    arguments: [
      ("{role: r, parts: [{url: \"https://a.b/x\"}]}", "give a filename"),
      ("{role: r, filename: f, parts: []}", "f has no parts"),
      ("{role: r, filename: f, parts: [{path: /x}]}", "comes from a url or from pypi"),
      ("{role: r, filename: f, parts: [{url: \"https://a.b/x\", sha256: xyz}]}", "64 hexadecimal"),
      ("{role: r, filename: f, parts: [{url: \"https://a.b/x\", byte: 3}]}", "did you mean 'bytes'"),
      ("{role: r, filename: f, parts: [{}]}", "exactly one of"),
      ("{role: r, filename: f, parts: [{url: \"https://a.b/x\"}], url: \"https://a.b/x\"}", "exactly one of"),
      ("{role: r, filename: f, convert: {tool: ctranslate2-whisper}}", "from"),
      ("{role: r, filename: f, convert: {tool: ctranslate3, from: []}}", "ctranslate2-whisper"),
      (
        "{role: r, filename: f, convert: {tool: ctranslate2-whisper, from: [{url: \"https://a.b/model.bin\"}]}}",
        "model.bin and vocabulary.txt"
      ),
    ])
  func wrongRecipesAreTold(file: String, message: String) {
    let text = complaint("models:\n  - id: m\n    kind: llm\n    engine: e\n    files: [\(file)]\n")
    #expect(text.contains("models.yaml:5:") && text.contains(message), "\(text)")
  }

  @Test func everyBuiltInModelIsPinned() throws {
    let catalogue = try ModelCatalogue()
    func check(_ source: ModelFileSource, _ name: String) {
      switch source {
      case .parts(let pieces), .convert(_, let pieces):
        for piece in pieces {
          #expect(piece.sha256 != nil && piece.bytes ?? 0 > 0, "\(name)")
          check(piece.source, name)
        }
        if case .parts = source { #expect(pieces.allSatisfy { $0.bytes != nil }) }
      case .url(let url): #expect(url.hasPrefix("https://"))
      case .path: Issue.record("\(name) is a path")
      case .pypi: break
      }
    }
    for entry in catalogue.entries {
      #expect(entry.license != nil && entry.source != nil)
      for file in entry.files {
        #expect(file.sha256 != nil && file.bytes ?? 0 > 0, "\(file.filename)")
        check(file.source, file.filename)
        guard case .parts(let pieces) = file.source else { continue }
        #expect(pieces.compactMap(\.bytes).reduce(0, +) == file.bytes)
      }
    }
  }

  @Test func kindsHaveDefaults() throws {
    let catalogue = try ModelCatalogue()
    for (kind, id) in [
      (JobKind.llm, "smollm2-135m-instruct"), (.audioSTT, "whisper-tiny.en"), (.audioTTS, "piper-en_US-joe-medium"),
    ] { #expect(try catalogue.defaultEntry(for: kind).id == id) }
    let none = #expect(throws: ModelError.self) { try catalogue.defaultEntry(for: .image) }
    #expect(none?.kind == .noDefault && none?.message.contains("models.yaml") == true)
    let file = CatalogueFile(role: "model", source: .path("/x"), filename: "x")
    let own = ["a", "b"].map { ModelEntry(id: $0, kind: .image, engine: "sd-cpp", files: [file]) }
    #expect(try ModelCatalogue(operatorEntries: [own[0]]).defaultEntry(for: .image).id == "a")
    let many = #expect(throws: ModelError.self) { try ModelCatalogue(operatorEntries: own).defaultEntry(for: .image) }
    #expect(many?.message.contains("a, b") == true)
  }

  @Test func mistakesAreToldWithTheirPlace() {
    let head = "models:\n  - id: m\n    kind: llm\n    engine: e\n"
    #expect(
      complaint(head + "    fils: []\n    files: [{role: r, path: /x}]\n").contains(
        "models.yaml:5:5: models[0]: unknown key 'fils'; did you mean 'files'?"))
    #expect(complaint(head + "    files: [{role: r, url: \"http://example.com/x\"}]\n").contains("models.yaml:5:"))
    #expect(complaint(head + "    files: [{role: r, url: https://a.b/x, path: /x}]\n").contains("exactly one of"))
    #expect(complaint(head + "    files: [{role: r}]\n").contains("exactly one of"))
    #expect(complaint(head + "    files: [{role: r, path: /x, sha256: abc}]\n").contains("64 hexadecimal"))
    #expect(
      complaint(head + "    files: [{role: r, url: https://a.b/x, filename: ../x}]\n").contains("plain path component"))
    #expect(complaint(head + "    files: [{role: r, url: https://a.b/}]\n").contains("give a filename"))
    #expect(complaint(head + "    files: []\n").contains("at least one file"))
    #expect(complaint(head).contains("files"))
    let one = "  - {id: m, kind: llm, engine: e, files: [{role: r, path: /x}]}\n"
    #expect(complaint("models:\n" + one + one).contains("declared twice"))
    #expect(
      complaint(
        "models:\n" + one + one.replacingOccurrences(of: "id: m", with: "id: 'a:b'")
          + one.replacingOccurrences(of: "id: m", with: "id: a_b")
      ).contains("same directory"))
    #expect(complaint("models:\n" + one.replacingOccurrences(of: "llm", with: "lmm")).contains("did you mean 'llm'"))
  }
}
