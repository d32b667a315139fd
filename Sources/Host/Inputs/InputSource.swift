import PluginProtocol

/// Where an input comes from, by its URL and by who sent it.
enum InputSource {
  /// Fetched when the job runs.
  case remote(RemoteURL)
  /// Bytes in the URL itself.
  case data(DataURL)
  /// Absolute path of a file of a local user.
  case path(String)
  /// Id of a finished upload.
  case upload(String)
  /// Staged already; the SHA-256 of the URL that stood here.
  case staged(String)

  /// The scheme under which the store keeps what was staged at submission: `staged:` and the hash of the original URL.
  static let stagedPrefix = "staged:"
  /// The member by which the store says that the whole task lies in a file.
  static let stagedTask = "staged:task"

  /// Reads a URL that a submission has. Its text is not repeated in errors: it may hold a secret.
  ///
  /// - Throws: `bad_input`, which begins with the slot's field.
  init(_ slot: InputSlot, from origin: InputOrigin) throws(InputFailure) {
    func bad(_ reason: String) -> InputFailure { InputFailure(.badInput, "\(slot.field) \(reason)") }
    let scheme = slot.url.utf8.firstIndex(of: UInt8(ascii: ":")).map { String(slot.url[..<$0]).lowercased() }
    switch scheme {
    case "https", "http": self = .remote(try Self.remote(slot.url, field: slot.field))
    case "data":
      do {
        self = .data(try DataURL(slot.url))
      } catch {
        throw bad("is no usable data: URL: \(error.reason)")
      }
    case "file", "upload":
      guard origin == .local else {
        throw bad("is a \(scheme ?? "") URL, which only a user of this machine may send: use https")
      }
      if scheme == "upload" {
        self = .upload(String(slot.url.dropFirst("upload:".count)))
      } else {
        do {
          self = .path(try FileURL.path(slot.url, field: slot.field))
        } catch {
          throw InputFailure(.badInput, error.message)
        }
      }
    default:
      let schemes = origin == .local ? "https, data, file or upload" : "https or data"
      throw bad("has no scheme that is supported: it must be a URL of the scheme \(schemes)")
    }
  }

  /// Reads a URL as the store keeps it.
  init(stored slot: InputSlot) throws(InputFailure) {
    if slot.url.hasPrefix(Self.stagedPrefix) {
      self = .staged(String(slot.url.dropFirst(Self.stagedPrefix.count)))
    } else {
      self = .remote(try Self.remote(slot.url, field: slot.field))
    }
  }

  private static func remote(_ text: String, field: String) throws(InputFailure) -> RemoteURL {
    do {
      return try RemoteURL(text)
    } catch {
      if error.kind == .network { throw InputFailure(.resource, "\(field) cannot be fetched: \(error.message)") }
      let isPlain = text.lowercased().hasPrefix("http:")
      throw InputFailure(
        .badInput,
        isPlain
          ? "\(field) is not encrypted: use https (http is for this machine only)" : "\(field) is no complete https URL"
      )
    }
  }
}
