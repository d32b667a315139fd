import PluginProtocol

/// Clocks and budgets of one conversation with an engine. The manifest sets most of the clocks.
package struct SessionLimits: Sendable, Equatable {
  /// From the start of the process to the answer to `initialize`.
  package var initialize: Duration = .seconds(10)
  /// Longest silence while a model is loaded.
  package var loadStall: Duration = .seconds(60)
  /// Longest load, however lively.
  package var loadMaximum: Duration = .seconds(1800)
  /// Longest time a job goes without a chunk or changed progress.
  package var jobStall: Duration = .seconds(120)
  /// Longest time that giving a model's memory back may take.
  package var unload: Duration = .seconds(60)
  /// Longest time an engine may take to answer a ping, busy or not.
  package var ping: Duration = .seconds(5)
  /// Longest job.
  package var job: Duration = .seconds(7200)
  /// From a cancel to the answer; afterwards the process is killed.
  package var cancelGrace: Duration = .seconds(5)
  /// Longest time a line may stay without its LF.
  package var partialLine: Duration = .seconds(60)
  /// Longest time the engine may leave its stdin unread while something is queued for it.
  package var stdinStall: Duration = .seconds(10)
  /// Protocol errors a minute that are put up with.
  package var protocolErrorsPerMinute = 16
  /// Lines of noise a minute that are put up with.
  package var noisePerMinute = 1000
  /// Bytes that may be queued for the engine's stdin.
  package var queuedBytes = 64 << 20
  /// Shortest time between two progress events of one job that are passed on.
  package var progressInterval: Duration = .milliseconds(100)
  /// Chunks an engine may send ahead of the consumer.
  package var chunkCredit = defaultChunkCredit

  package init() {}
}
