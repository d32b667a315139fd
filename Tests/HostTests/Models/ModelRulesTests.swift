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
    #expect(catalogue.entries.map(\.id) == ["other", "smollm2-135m-instruct"])
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
    #expect(catalogue.entries == BuiltInModels.entries)
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
