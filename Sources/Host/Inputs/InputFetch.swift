import Glibc
import PluginProtocol

/// Brings one remote input into a file. Blocks.
struct InputFetch {
  /// Redirects that one input may take.
  static let redirectLimit = 5

  let url: RemoteURL
  /// What the caller calls the input; begins every message.
  let field: String
  let origin: InputOrigin
  let settings: InputSettings
  /// Bytes that the job's quota leaves for this input.
  let limit: Int64
  let deadline: ContinuousClock.Instant
  /// Throws when the job was cancelled.
  let checkCancelled: () throws -> Void
  /// Bytes so far, and of how many when that is known.
  let progress: (Int64, Int64?) -> Void

  /// Writes the file at `path`, durable and whole, or leaves nothing.
  func run(to path: String) throws {
    let part = path + ".part"
    do {
      try FileCopy.create(part, durable: true) { descriptor in try fetch(into: descriptor, below: Self.parent(of: path))
      }
    } catch let failure as InputFailure {
      throw InputFailure(failure.failure, "\(field): \(failure.message)")
    }
    guard rename(part, path) == 0 else { throw InputFailure(errno, doing: "naming an input") }
  }

  private func fetch(into descriptor: Int32, below directory: String) throws {
    var url = url
    // A local user may name any address. Where a server sends us from there is another matter: only from a private
    // address on may the way lead to a private one.
    var allowsPrivate = settings.allowPrivateAddresses || origin == .local
    for _ in 0...Self.redirectLimit {
      var redirect: String?
      var written: Int64 = 0
      var total: Int64?
      let exchange = InputExchange(
        InputExchange.Request(
          url: url, allowsPrivate: allowsPrivate, deadline: deadline, settings: settings),
        onHead: { head in
          if [301, 302, 303, 307, 308].contains(head.status) {
            redirect = head.headers["location"] ?? ""
            return false
          }
          total = try length(head, url)
          try FileCopy.checkSpace(directory, needed: total ?? 0, floor: settings.keepFree)
          return true
        },
        onBody: { bytes in
          let before = written
          written += Int64(bytes.count)
          guard written <= limit else { throw tooLarge(url) }
          if before == 0 || before / Int64(FileCopy.stride) != written / Int64(FileCopy.stride) {
            // A body of unknown length must not fill the disk.
            try FileCopy.checkSpace(directory, needed: Int64(FileCopy.stride), floor: settings.keepFree)
          }
          try FileCopy.write(bytes, to: descriptor)
          progress(written, total)
        })
      _ = try exchange.perform(cancel: checkCancelled)
      guard let target = redirect else {
        if let total, total != written {
          throw InputFailure(.transient, "\(url.redacted) ended after \(written) of \(total) bytes")
        }
        return
      }
      allowsPrivate = settings.allowPrivateAddresses || (allowsPrivate && !exchange.mayBePublic)
      url = try follow(target, from: url)
    }
    throw InputFailure(.badInput, "\(self.url.redacted) redirects more than \(Self.redirectLimit) times")
  }

  private func follow(_ target: String, from url: RemoteURL) throws(InputFailure) -> RemoteURL {
    guard !target.isEmpty else { throw InputFailure(.badInput, "\(url.redacted) redirects without saying where") }
    do {
      return try url.redirected(to: target)
    } catch {
      if error.kind == .network { throw InputFailure(.resource, error.message) }
      throw InputFailure(.badInput, "\(url.redacted) redirects where it may not: only https leads on from here")
    }
  }

  /// The announced length of an answer that can be used.
  private func length(_ head: HTTPHead, _ url: RemoteURL) throws(InputFailure) -> Int64? {
    switch head.status {
    case 200: break
    case 408, 425, 429, 500...599:
      throw InputFailure(.transient, "\(url.redacted) answered with status \(head.status)")
    case 401, 403, 407:
      throw InputFailure(
        .badInput, "\(url.redacted) refused access (status \(head.status)): check the URL and its token")
    case 404, 410:
      throw InputFailure(.badInput, "\(url.redacted) does not have the file (status \(head.status)): check the URL")
    default: throw InputFailure(.badInput, "\(url.redacted) answered with status \(head.status), which is no file")
    }
    if let encoding = head.headers["content-encoding"], encoding.lowercased() != "identity" {
      throw InputFailure(.badInput, "\(url.redacted) sent the file compressed, which was not asked for")
    }
    guard let text = head.headers["content-length"] else { return nil }
    guard let length = Int64(text), length >= 0 else {
      throw InputFailure(.badInput, "\(url.redacted) announced a length that is no number")
    }
    guard length <= limit else { throw tooLarge(url) }
    return length
  }

  private func tooLarge(_ url: RemoteURL) -> InputFailure {
    InputFailure(.badInput, "\(url.redacted) has more than \(limit) bytes, which is what this input may have")
  }

  private static func parent(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }
}
