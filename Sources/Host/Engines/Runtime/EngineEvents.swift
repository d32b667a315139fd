import PluginProtocol

/// What an engine process has to say beside its answers. Delivered in order, on the engine's own thread.
package enum EngineEvent: Sendable {
  /// The engine's program runs.
  case started(pid: Int32)
  /// What holds the process, said before it starts.
  case confined(SandboxInForce)
  case ready(EngineDescription)
  /// A line of stderr, cut to a bounded length.
  case stderr(String)
  /// Lines of stderr come too fast: those over that many a minute are dropped from now on.
  case stderrFlood(perMinute: Int)
  /// Lines of stderr that came too fast to be passed on, and the last of them.
  case stderrDropped(Int, last: [String])
  /// A line on stdout that is no message.
  case noise(String)
  case log(LogMessage)
  case protocolError(String, evidence: String)
  /// The host kills the process for this.
  case killed(KillReason)
  /// The process itself has died; descendants may still be swept.
  case died(String)
}

/// Takes what a running job sends. Called on the engine's thread: must not block.
package struct JobSink: Sendable {
  package var progress: @Sendable (JobProgress) -> Void
  package var chunk: @Sendable (JobChunk) -> Void

  package init(
    progress: @escaping @Sendable (JobProgress) -> Void = { _ in },
    chunk: @escaping @Sendable (JobChunk) -> Void = { _ in }
  ) {
    self.progress = progress
    self.chunk = chunk
  }
}

/// How the life of an engine process ended.
package struct EngineEnd: Sendable, Equatable {
  /// Why, as far as the restart policy cares.
  package enum Cause: Sendable, Equatable {
    /// The host asked it to go and it went.
    case stopped
    /// It could not be started, or died before the handshake.
    case failedToStart
    /// Host and engine have no protocol version in common.
    case incompatible
    /// It died by itself.
    case crashed
    /// The host killed it.
    case killed(KillReason)
  }
  package var cause: Cause
  /// One sentence: what happened and, where it can be told, what to do.
  package var diagnosis: String
  /// `resource` when memory ran out, else `engine_fault`.
  package var failure: FailureClass
  package var pid: Int32?
  /// True when something could not be killed: the slot must not be used again.
  package var isLost: Bool
  /// The monitor could not sweep: what it left has come to the host.
  var needsOrphanSweep = false
  /// The last lines of stderr, oldest first.
  package var stderrTail: [String]
  /// How long it ran.
  package var lifetime: Duration
  package var counters: EngineSession.Counters
  /// Signal or status, stderr and wire; nil when there is nothing to prove.
  package var evidence: JSONValue?
}
