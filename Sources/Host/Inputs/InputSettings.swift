import Glibc

/// What inputs of jobs may cost, and where they may come from.
package struct InputSettings: Sendable {
  /// Bytes of one input.
  package var maxInputBytes: Int64 = 2 << 30
  /// Bytes of all inputs of one job.
  package var maxJobBytes: Int64 = 8 << 30
  /// Bytes of a task's JSON, inputs in `data:` URLs included.
  package var maxTaskBytes: Int = 16 << 20
  /// URLs in one list of a task, and in all of a task together.
  package var maxURLs: Int = 64
  /// Bytes of the disk that inputs leave free.
  package var keepFree: Int64 = 64 << 20
  /// Whether URLs that coordinators send may lead to private, loopback and other addresses that are not public.
  package var allowPrivateAddresses = false
  /// Which socket addresses are public; tests put their own loopback in place of the internet.
  var isPublicAddress: @Sendable (UnsafePointer<sockaddr>, Int) -> Bool = { PublicAddress.isPublic($0, length: $1) }
  /// From the beginning of a request until its connection stands, TLS included.
  package var connectTimeout: Duration = .seconds(15)
  /// Time after which a fetch fails that had no whole head, or fewer than 64 KiB of its body, in it.
  package var stallTimeout: Duration = .seconds(30)
  /// Time for one input, redirects included.
  package var totalTimeout: Duration = .seconds(3600)
  /// A PEM file of certificate authorities to trust instead of the system's.
  package var certificateAuthorities: String?
  /// Variables that name a proxy, and hosts that need none; nil for this process's own.
  var environment: [String: String]?
  /// Uploads at a time that no job has claimed.
  package var maxUploads: Int = 32
  /// How long an upload waits for its next part, and then for its job.
  package var uploadLifetime: Duration = .seconds(3600)

  package init() {}
}

/// Who sent a task: it decides which of its URLs are honoured.
package enum InputOrigin: Sendable, Equatable {
  /// The user of this machine, through the control socket.
  case local
  case coordinator(String)

  /// - Parameter coordinator: `JobRequest.coordinator`.
  init(coordinator: String) {
    self = coordinator == "local" ? .local : .coordinator(coordinator)
  }
}
