/// The protocol's method names, and its version.
public enum Method {
  /// Versions of the protocol that this module speaks, best first.
  public static let protocolVersions = [1]

  // Host to engine, requests.
  public static let initialize = "initialize"
  public static let modelLoad = "model/load"
  public static let modelUnload = "model/unload"
  public static let jobRun = "job/run"
  public static let ping = "ping"
  public static let shutdown = "shutdown"

  // Host to engine, notifications.
  public static let jobCancel = "job/cancel"
  public static let jobCredit = "job/credit"

  // Engine to host, notifications.
  public static let jobProgress = "job/progress"
  public static let jobChunk = "job/chunk"
  public static let log = "log"
  public static let modelProgress = "model/progress"
}

/// Abilities that host and engine agree on in the handshake.
public enum Feature: String, CaseIterable, Sendable {
  /// The engine sends `job/chunk` and honours credit.
  case chunks
  /// The engine sends `job/progress`.
  case progress
  /// The engine answers `model/load` and `model/unload`, and keeps models between jobs.
  case modelResidency = "model-residency"
  /// The engine reads a large task from a file of its work directory (`taskFile`) and writes a large output to one
  /// (`outputFile`). The kit does both, and names this by itself.
  case contentFiles = "content-files"
}

/// How many chunks an engine may send beyond the last one that the host has taken, unless `job/run` says otherwise.
public let defaultChunkCredit = 64
