import Glibc
import Testing

@testable import stoker

struct InputFileTests {
  private func withDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/stoker-cli-XXXXXX".utf8CString)
    let path = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer {
      for name in ["file", "fifo", "big", "bad", "out", "link", "dir/a", "dir/b", "dir", ""] {
        if unlink(path + "/" + name) != 0 { rmdir(path + "/" + name) }
      }
    }
    try body(path)
  }

  @Test func hostileFilesGetAClearAnswer() throws {
    try withDirectory { directory in
      mkfifo(directory + "/fifo", 0o600)
      let big = open(directory + "/big", O_CREAT | O_WRONLY, 0o600)
      ftruncate(big, off_t(1 << 30))
      close(big)
      let bad = open(directory + "/bad", O_CREAT | O_WRONLY, 0o600)
      write(bad, [0x61, 0x62, 0xFF] as [UInt8], 3)
      close(bad)
      let cases = [
        ("missing", "does not exist"), ("", "directory"), ("fifo", "named pipe"), ("big", "larger than 16MiB"),
        ("bad", "not UTF-8 text (byte 2)"),
      ]
      for (name, message) in cases {
        #expect {
          try InputFile.text(directory + "/" + name)
        } throws: { error in
          let failure = CLIError(error)
          return failure.status == .usage && failure.message.contains(message)
        }
      }
      #expect(throws: CLIError.self) { try InputFile.locate(directory + "/fifo") }
      #expect(throws: CLIError.self) { try InputFile.locate(directory) }
    }
  }

  @Test func aTextIsReadWhole() throws {
    try withDirectory { directory in
      let file = open(directory + "/file", O_CREAT | O_WRONLY, 0o600)
      let text = "grüße\n"
      write(file, text, text.utf8.count)
      close(file)
      let read = try InputFile.text(directory + "/file")
      #expect(read == text)
    }
  }
}
