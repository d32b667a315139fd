/// How large content may be, by the way it travels.
public enum ContentLimits {
  /// Encoded JSON above this many bytes is a file in the job's work directory and not a part of a message.
  public static let inlineBytes = 256 << 10
  /// Greatest size in bytes of a task or an output that travels as a file.
  public static let fileBytes = 64 << 20
  /// How such a file is parsed. It is bounded in bytes already, so it may have more values than a line.
  public static let fileJSON = JSONLimits(depth: 64, values: 4_000_000)
}
