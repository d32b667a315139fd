/// What the operator has decided about memory and models.
package struct ResidencyPolicy: Sendable {
  /// What each pool may hold in all.
  package var limits: [MemoryPool: Int64]
  /// Bytes of the machine's memory that stay free whatever is loaded.
  package var reserve: Int64
  /// What one model may take on devices; nil for any amount.
  package var deviceThreshold: Int64?
  /// How long a load waits for room, and for memory that was given back to show.
  package var waitForRoom: Duration
  /// By model id.
  package var model: @Sendable (String) -> ResidencyConfiguration

  package init(
    limits: [MemoryPool: Int64], reserve: Int64 = 0, deviceThreshold: Int64? = nil,
    waitForRoom: Duration = .seconds(30),
    model: @escaping @Sendable (String) -> ResidencyConfiguration = { _ in ResidencyConfiguration() }
  ) {
    self.limits = limits
    self.reserve = reserve
    self.deviceThreshold = deviceThreshold
    self.waitForRoom = waitForRoom
    self.model = model
  }

  /// How often measured memory is looked at while a load waits for it.
  static let poll = Duration.milliseconds(200)
  /// How long memory that was given back may take to show.
  static let settling = Duration.seconds(2)
  /// What a process may keep of an unloaded model before it is started anew.
  static let keptAfterUnload: Int64 = 256 << 20
}

extension ResidencyConfiguration.KeepAlive {
  /// Longer than any machine runs stands for ever.
  var time: Duration {
    switch self {
    case .after(let time): time
    case .forever: .seconds(100 * 365 * 86_400)
    }
  }
}
