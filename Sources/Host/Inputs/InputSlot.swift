import PluginProtocol

/// One place in a task that names an input: a member that ends in `Url`, or an element of one that ends in `Urls`.
struct InputSlot: Equatable {
  /// The task's member.
  let member: String
  /// Position in the list; nil for a member that is a string.
  let index: Int?
  /// What stands there.
  let url: String

  /// What the caller calls it: `task.imageUrls[0]`.
  var field: String { "task.\(member)" + (index.map { "[\($0)]" } ?? "") }
  /// Names the input's file, without its ending: `inputUrl`, `imageUrls-1`.
  var name: String { member + (index.map { "-\($0 + 1)" } ?? "") }

  /// Every slot of a task, in the order of the members' names. Only members of the task itself count, not deeper ones.
  ///
  /// - Throws: `bad_input` for a value of another type, an empty URL, a name that no file can be named by, and too many.
  static func all(in task: JSONValue, limit: Int) throws(InputFailure) -> [InputSlot] {
    guard case .object(let members) = task else { return [] }
    var slots: [InputSlot] = []
    for (member, value) in members.sorted(by: { $0.key < $1.key }) where value != .null {
      if member.hasSuffix(JobInput.listSuffix) {
        guard let list = value.array else { throw bad(member, "must be a list of URLs, not of type \(value.typeName)") }
        guard list.count <= limit else { throw bad(member, "has \(list.count) URLs and \(limit) are allowed") }
        for (index, element) in list.enumerated() {
          slots.append(InputSlot(member: member, index: index, url: try url(element, "\(member)[\(index)]")))
        }
      } else if member.hasSuffix(JobInput.memberSuffix) {
        slots.append(InputSlot(member: member, index: nil, url: try url(value, member)))
      } else {
        continue
      }
      guard member.utf8.count <= 64, member.utf8.allSatisfy(isPlain) else {
        throw bad(String(member.prefix(64)), "names an input: its name may have 64 letters, digits and _")
      }
    }
    guard slots.count <= limit else {
      throw InputFailure(.badInput, "the task names \(slots.count) inputs and \(limit) are allowed")
    }
    return slots
  }

  /// The task with this slot's URL replaced.
  static func replace(_ urls: [(InputSlot, String)], in task: JSONValue) -> JSONValue {
    guard case .object(var members) = task else { return task }
    for (slot, url) in urls {
      guard let index = slot.index else {
        members[slot.member] = .string(url)
        continue
      }
      guard case .array(var list)? = members[slot.member] else { continue }
      list[index] = .string(url)
      members[slot.member] = .array(list)
    }
    return .object(members)
  }

  private static func url(_ value: JSONValue, _ name: String) throws(InputFailure) -> String {
    guard let text = value.string else { throw bad(name, "must be a URL, not of type \(value.typeName)") }
    guard !text.isEmpty else { throw bad(name, "is empty: it must be a URL") }
    return text
  }

  private static func bad(_ name: String, _ reason: String) -> InputFailure {
    InputFailure(.badInput, "task.\(name) \(reason)")
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}
