/// What an engine's author writes; the kit does the rest: handshake, framing, cancel, credit, shutdown.
///
/// Only `run` is required. Calls for different jobs come at the same time when `concurrency` is more than 1.
/// Throw `EngineError` to say whose fault a failure is; any other error counts as the engine's own.
public protocol Engine: Sendable {
  /// Name, version, features. Asked for once.
  var information: EngineInformation { get }

  /// Called once, before anything else. Returns ids or globs that narrow the manifest's models, or nil.
  func initialize(_ parameters: InitializeParameters) async throws -> [String]?

  /// Makes a model ready for jobs. Called again for the same id only after `unload`.
  ///
  /// A load that takes longer than `timeouts.loadStall` without a `progress` report is given up by the host.
  func load(_ model: ModelReference, progress: ModelProgressReporter) async throws -> ModelLoadResult

  /// Gives back the model's memory. Returns when it is given back.
  func unload(_ modelID: String) async throws

  /// Does one job. Watch `job.isCancelled`, or call `job.checkCancelled()`, at every step.
  func run(_ job: EngineJob) async throws -> JobRunResult

  /// Called before the process ends on request.
  func shutdown() async
}

extension Engine {
  /// Accepts any configuration and serves what the manifest says.
  public func initialize(_ parameters: InitializeParameters) async throws -> [String]? { nil }
  /// Nothing to load.
  public func load(_ model: ModelReference, progress: ModelProgressReporter) async throws -> ModelLoadResult {
    ModelLoadResult()
  }
  /// Nothing to unload.
  public func unload(_ modelID: String) async throws {}
  /// Nothing to do.
  public func shutdown() async {}
}

/// How an engine introduces itself.
public struct EngineInformation: Sendable {
  public var name: String
  public var version: String
  public var features: [Feature]
  /// Jobs at a time, 1 or more.
  public var concurrency: Int
  /// Line cap to ask for, in bytes; nil keeps the default of 1 MiB.
  public var lineBytes: Int?

  public init(
    name: String, version: String, features: [Feature] = [.chunks, .progress], concurrency: Int = 1,
    lineBytes: Int? = nil
  ) {
    self.name = name
    self.version = version
    self.features = features
    self.concurrency = concurrency
    self.lineBytes = lineBytes
  }
}

/// A failure with its class: the host retries, or does not, by it.
public struct EngineError: Error, Sendable {
  public var failure: FailureClass
  /// One sentence that a user can act on.
  public var message: String
  /// Raw detail, for the log.
  public var evidence: String?

  public init(_ failure: FailureClass, _ message: String, evidence: String? = nil) {
    self.failure = failure
    self.message = message
    self.evidence = evidence
  }
}

/// Reports how far the loading of a model is; every report also tells the host that the load is alive.
public struct ModelProgressReporter: Sendable {
  let model: String
  let wire: WireWriter

  /// Sends one report. `fraction` is 0 to 1.
  public func report(fraction: Double? = nil, message: String? = nil) {
    wire.send(
      .notification(
        method: Method.modelProgress,
        params: ModelProgress(model: model, fraction: fraction, message: message).json))
  }
}
