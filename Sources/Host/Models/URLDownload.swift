import Glibc

/// Brings one file from a URL into its `.part`, continuing an earlier attempt where that is safe.
struct URLDownload {
  /// Requests one download may make beyond its first: redirects, restarts and resumed connections together.
  static let requestLimit = 20

  let file: CatalogueFile
  let part: PartFile
  let recordPath: String
  let settings: ModelStoreSettings
  let freeSpace: () throws -> Int64
  let progress: ProgressReporter
  let cancel: CancelSignal

  /// Returns when all bytes have arrived; the hash is the caller's to check.
  func run(_ text: String) throws {
    let start = try RemoteURL(text)
    let source = FileHash.hex(ofText: text)
    var record = try adoptLeftover(source: source)
    if let total = record?.total ?? file.bytes, part.count == total, total > 0, file.sha256 != nil { return }
    var url = start
    var resumes = 0
    for _ in 0...Self.requestLimit {
      let before = part.count
      do {
        switch try exchange(url, source: source, record: &record) {
        case .done: return
        case .startOver:
          try part.restart()
          record = nil
        case .redirect(let target): url = try url.redirected(to: target)
        }
      } catch let error as ModelError where error.kind == .network && part.count > before && canResume(record) {
        // The connection broke after some bytes: go on from there, from the URL that was asked for first.
        resumes += 1
        guard resumes <= settings.resumeLimit else { throw error }
        url = start
      }
    }
    throw ModelError(.badResponse, "\(start.redacted) redirects in a circle")
  }

  private enum Step {
    case done
    case startOver
    case redirect(String)
  }

  /// Continuing is safe only when a change of the remote file would show: by a validator, or by the hash at the end.
  private func canResume(_ record: ResumeRecord?) -> Bool { record?.validator != nil || file.sha256 != nil }

  private func adoptLeftover(source: String) throws -> ResumeRecord? {
    let size = try part.leftover()
    guard size > 0, let record = ResumeRecord(path: recordPath), record.source == source, canResume(record),
      size <= record.total ?? file.bytes ?? .max, size <= file.bytes ?? .max
    else {
      try part.restart()
      unlink(recordPath)
      return nil
    }
    try part.adopt(
      progress: { progress.report(bytes: $0, total: size, stage: .checking) }, cancel: cancel)
    return record
  }

  private func exchange(_ url: RemoteURL, source: String, record: inout ResumeRecord?) throws -> Step {
    let offset = part.count
    var headers = ["Accept-Encoding: identity", "Accept: */*"]
    if offset > 0 {
      headers.append("Range: bytes=\(offset)-")
      if let validator = record?.validator { headers.append("If-Range: \(validator)") }
    }
    var reply = DownloadReply.refused("sent no answer")
    var total: Int64?
    var checked = part.count
    var current = record
    let exchange = HTTPExchange(
      HTTPExchange.Request(
        url: url, headers: headers, stallTimeout: settings.stallTimeout,
        certificateAuthorities: settings.certificateAuthorities),
      onHead: { head in
        reply = DownloadReply.read(
          offset: offset, status: head.status, contentRange: head.headers["content-range"],
          contentLength: head.headers["content-length"].flatMap { Int64($0) },
          contentEncoding: head.headers["content-encoding"])
        switch reply {
        case .append(let said): total = said ?? current?.total
        case .whole(let said):
          if part.count > 0 { try part.restart() }
          checked = 0
          total = said
        case .startOver, .redirect, .refused: return false
        }
        try checkLength(total, url)
        let now = ResumeRecord(source: source, validator: ResumeRecord.validator(of: head), total: total)
        if now != current {
          try now.write(to: recordPath)
          current = now
        }
        part.cap = file.bytes ?? total
        if let total = total ?? file.bytes { try settings.checkSpace(needed: total - part.count, free: freeSpace()) }
        progress.report(bytes: part.count, total: total ?? file.bytes, stage: .downloading)
        return true
      },
      onBody: { bytes in
        try part.append(bytes)
        if part.cap == nil, part.count - checked >= 16 << 20 {
          // A body of unknown length must not fill the disk.
          try settings.checkSpace(needed: 64 << 20, free: freeSpace())
          checked = part.count
        }
        progress.report(bytes: part.count, total: total ?? file.bytes, stage: .downloading)
      })
    defer { record = current }
    let head = try exchange.perform(cancel: cancel)
    switch reply {
    case .append, .whole:
      if let wanted = total ?? file.bytes, part.count != wanted {
        throw ModelError(
          .network, "\(url.redacted) ended after \(part.count) of \(wanted) bytes; run the pull again to resume it")
      }
      return .done
    case .startOver: return .startOver
    case .redirect:
      guard let target = head.headers["location"] else {
        throw ModelError(.badResponse, "\(url.redacted) redirects without saying where")
      }
      return .redirect(target)
    case .refused(let reason): throw ModelError(.badResponse, "\(url.redacted) \(reason)")
    }
  }

  private func checkLength(_ total: Int64?, _ url: RemoteURL) throws(ModelError) {
    guard let total, let wanted = file.bytes, total != wanted else { return }
    throw ModelError(
      .lengthMismatch,
      "\(url.redacted) offers \(total) bytes, but the model declares \(wanted); the entry or the server is out of date")
  }
}
