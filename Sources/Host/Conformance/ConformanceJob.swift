import Glibc
import PluginProtocol

/// A job for an engine under test: small, unless it is one to be cancelled.
package struct ConformanceJob: Sendable, Equatable {
  /// A file that the host would have fetched into the work directory.
  package struct Input: Sendable, Equatable {
    /// The task's member that names it; a list when it ends in `Urls`.
    package var member: String
    package var name: String
    package var contentType: String
    package var bytes: [UInt8]

    package init(member: String, name: String, contentType: String, bytes: [UInt8]) {
      self.member = member
      self.name = name
      self.contentType = contentType
      self.bytes = bytes
    }
  }
  package var kind: JobKind
  /// The task without the members that name inputs.
  package var task: JSONValue
  package var inputs: [Input]

  package init(kind: JobKind, task: JSONValue, inputs: [Input] = []) {
    self.kind = kind
    self.task = task
    self.inputs = inputs
  }

  /// The jobs that are tried for a kind, the plainest first: the first that the engine takes is used.
  static func usual(_ kind: JobKind) -> [ConformanceJob] {
    switch kind {
    case .llm: [ConformanceJob(kind: kind, task: chat("one two three four five six seven eight nine ten", 8))]
    case .audioSTT:
      [ConformanceJob(kind: kind, task: ["language": "en"], inputs: [.tone(seconds: 1, member: "inputUrl")])]
    case .audioTTS: [ConformanceJob(kind: kind, task: ["text": "Good morning."])]
    case .image:
      [64, 256, 512].map {
        ConformanceJob(
          kind: kind,
          task: [
            "prompt": "a red square", "width": JSONValue($0), "height": JSONValue($0), "steps": 1, "seed": 1,
          ])
      }
    case .video: videos(seconds: 1)
    }
  }

  /// The same job, but one that takes long, as far as the kind allows.
  var lengthened: ConformanceJob {
    var job = self
    guard var task = task.object else { return self }
    switch kind {
    case .llm: task["maxTokens"] = 256
    case .audioSTT:
      if inputs.map(\.name) == [Input.tone(seconds: 1, member: "inputUrl").name] {
        job.inputs = [.tone(seconds: 20, member: "inputUrl")]
      }
    case .audioTTS:
      if let text = task["text"]?.string {
        task["text"] = .string(Array(repeating: text, count: 40).joined(separator: " "))
      }
    case .image: task["steps"] = 20
    case .video: task["seconds"] = 20
    }
    job.task = .object(task)
    return job
  }

  private static func chat(_ text: String, _ tokens: Int) -> JSONValue {
    [
      "messages": [["role": "user", "content": .string(text)]], "maxTokens": JSONValue(tokens), "temperature": 0,
      "seed": 1,
    ]
  }

  private static func videos(seconds: Int) -> [ConformanceJob] {
    let task: JSONValue = [
      "prompt": "waves", "seconds": JSONValue(seconds), "fps": 8, "width": 64, "height": 64, "seed": 1,
    ]
    let inputs: [[Input]] = [
      [], [.picture(member: "initImageUrl", 1)], [.picture(member: "imageUrls", 1), .picture(member: "imageUrls", 2)],
      [.tone(seconds: 1, member: "inputUrl")],
    ]
    return inputs.map { ConformanceJob(kind: .video, task: task, inputs: $0) }
  }
}

extension ConformanceJob.Input {
  /// A wave file of a sine tone: 16 kHz, one channel, 16 bits.
  static func tone(seconds: Int, member: String) -> Self {
    let rate = 16_000
    var data: [UInt8] = []
    for sample in 0..<(rate * seconds) {
      let value = Int16(8000 * sin(Double(sample) * 2 * .pi * 440 / Double(rate)))
      data += [UInt8(truncatingIfNeeded: value), UInt8(truncatingIfNeeded: value >> 8)]
    }
    func little(_ value: Int, _ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    let format = little(1, 2) + little(1, 2) + little(rate, 4) + little(rate * 2, 4) + little(2, 2) + little(16, 2)
    let bytes =
      Array("RIFF".utf8) + little(36 + data.count, 4) + Array("WAVEfmt ".utf8) + little(16, 4) + format
      + Array("data".utf8) + little(data.count, 4) + data
    return Self(member: member, name: "input-\(member).wav", contentType: "audio/wav", bytes: bytes)
  }

  /// A red picture of 64 by 64 pixels.
  static func picture(member: String, _ number: Int) -> Self {
    let digits = Array(png.utf8).filter { $0 != 0x0A }
    let bytes = stride(from: 0, to: digits.count, by: 2).compactMap { at in
      UInt8(String(decoding: digits[at..<(at + 2)], as: UTF8.self), radix: 16)
    }
    let name = member.hasSuffix(JobInput.listSuffix) ? "input-\(member)-\(number).png" : "input-\(member).png"
    return Self(member: member, name: name, contentType: "image/png", bytes: bytes)
  }

  private static let png = """
    89504e470d0a1a0a0000000d4948445200000040000000400802000000250be6890000004f4944415478daedcf410900
    000804b08b73fd5318cb08be85c10a2cd3be160101010101010101010101010101010101010101010101010101010101
    010101010101010101010101010101010181cb02ef0e81005526b3e30000000049454e44ae426082
    """
}
