import Crypto
import Glibc
import Host
import PluginProtocol
import Testing

@testable import stoker

struct ResultWriterTests {
  private func withDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/stoker-result-XXXXXX".utf8CString)
    let path = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer {
      for name in ["a.png", "b.png", "out", "many/a.png", "many/b.png", "many", "link", ""] {
        if unlink(path + "/" + name) != 0 { rmdir(path + "/" + name) }
      }
    }
    try body(path)
  }

  private func artifact(_ directory: String, _ name: String, _ bytes: [UInt8], hash: String? = nil) -> JSONValue {
    let path = directory + "/" + name
    let descriptor = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0o600)
    write(descriptor, bytes, bytes.count)
    close(descriptor)
    let sum = SHA256.hash(data: bytes).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    return [
      "name": .string(name), "path": .string(path), "bytes": JSONValue(bytes.count), "contentType": "image/png",
      "sha256": .string(hash ?? sum),
    ]
  }

  private func job(_ artifacts: [JSONValue]) throws -> JobView {
    try JobView(["job": ["id": .string(jobID), "state": "succeeded", "kind": "image", "artifacts": .array(artifacts)]])
  }

  private func text(_ path: String) throws -> String {
    String(decoding: try SafeFile.read(path, maxBytes: 1 << 20).bytes, as: UTF8.self)
  }

  @Test func textGoesToAFileInPlaceOfTheOldOne() throws {
    try withDirectory { directory in
      let path = directory + "/out"
      _ = try ResultWriter(job: try JobView(finishedJob(text: "old")), asJSON: false).write(to: path)
      _ = try ResultWriter(job: try JobView(finishedJob(text: "new")), asJSON: false).write(to: path)
      #expect(try text(path) == "new\n")
      _ = try ResultWriter(job: try JobView(finishedJob()), asJSON: true).write(to: path)
      let json = try JSONValue(parsing: text(path))
      #expect(json["usage"]?["completion_tokens"] == 50)
    }
  }

  @Test func oneArtifactBecomesTheFile() throws {
    try withDirectory { directory in
      let job = try job([artifact(directory, "a.png", [1, 2, 3])])
      _ = try ResultWriter(job: job, asJSON: false).write(to: directory + "/out")
      let bytes = try SafeFile.read(directory + "/out", maxBytes: 10).bytes
      #expect(bytes == [1, 2, 3])
    }
  }

  @Test func severalBecomeANewDirectory() throws {
    try withDirectory { directory in
      let job = try job([artifact(directory, "a.png", [1]), artifact(directory, "b.png", [2])])
      _ = try ResultWriter(job: job, asJSON: false).write(to: directory + "/many")
      let bytes = try SafeFile.read(directory + "/many/b.png", maxBytes: 10).bytes
      #expect(bytes == [2])
      #expect(throws: CLIError.self) { try ResultWriter(job: job, asJSON: false).write(to: directory + "/many") }
    }
  }

  @Test func anArtifactThatChangedIsNotDelivered() throws {
    try withDirectory { directory in
      let job = try job([artifact(directory, "a.png", [1], hash: String(repeating: "0", count: 64))])
      #expect {
        try ResultWriter(job: job, asJSON: false).write(to: directory + "/out")
      } throws: { CLIError($0).errorClass == "bad_artifact" }
      #expect(access(directory + "/out", F_OK) != 0)
      #expect(access(directory + "/out.\(getpid()).part", F_OK) != 0)
    }
  }

  @Test func hostileNamesAndPlacesAreRefused() throws {
    try withDirectory { directory in
      let good = artifact(directory, "a.png", [1])
      for name in ["../x", "", ".", "a/b"] {
        var members = try #require(good.object)
        members["name"] = .string(name)
        let hostile = try job([.object(members), good])
        #expect(throws: CLIError.self) { try ResultWriter(job: hostile, asJSON: false).write(to: directory + "/many") }
      }
      let job = try job([good])
      for (path, message) in [
        (directory, "is a directory"), (directory + "/none/out", "No such file"), ("/dev/null", "not a regular"),
      ] {
        #expect {
          try ResultWriter(job: job, asJSON: false).write(to: path)
        } throws: { CLIError($0).message.contains(message) }
      }
    }
  }

  @Test func aLinkStaysALink() throws {
    try withDirectory { directory in
      _ = artifact(directory, "b.png", [9])
      symlink(directory + "/b.png", directory + "/link")
      _ = try ResultWriter(job: try JobView(finishedJob(text: "x")), asJSON: false).write(to: directory + "/link")
      var status = stat()
      #expect(lstat(directory + "/link", &status) == 0)
      #expect(status.st_mode & S_IFMT == S_IFLNK)
      #expect(try text(directory + "/b.png") == "x\n")
    }
  }

  @Test func aPlaceThatCannotBeWrittenToIsRefusedBeforehand() throws {
    #expect(throws: CLIError.self) { try ResultWriter.checkPlace("/nowhere-at-all/x.png") }
    #expect(throws: CLIError.self) { try ResultWriter.checkPlace("") }
    try ResultWriter.checkPlace("x.png")
  }
}
