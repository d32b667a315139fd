/// A frame on its way to an engine's stdin.
package struct OutboundFrame: Sendable, Equatable {
  /// The whole line, LF included.
  package var bytes: [UInt8]
  /// Overtakes frames that are not urgent, never one that is half written.
  package var urgent = false
  /// The job that this frame begins, so that a cancel can still take it back.
  package var startsJob: String?
}

/// What waits to be written to one pipe: bounded, in two lanes, with at most one frame half written.
package struct OutboundQueue: Sendable {
  private var urgent: [OutboundFrame] = []
  private var ordinary: [OutboundFrame] = []
  /// The frame being written and how much of it is out.
  private var current: (frame: OutboundFrame, offset: Int)?
  /// Somebody has got `head()` and may be writing it: until `advance` says how that went, it cannot be taken back.
  private var isHandedOut = false
  /// Bytes that are not written yet.
  package private(set) var bytes = 0
  private let limit: Int

  package init(limit: Int) { self.limit = limit }

  package var isEmpty: Bool { bytes == 0 }

  /// Takes a frame. Returns false, and does not take it, when the queue is full; urgent frames always fit.
  package mutating func push(_ frame: OutboundFrame) -> Bool {
    guard frame.urgent || bytes + frame.bytes.count <= limit else { return false }
    bytes += frame.bytes.count
    if frame.urgent { urgent.append(frame) } else { ordinary.append(frame) }
    return true
  }

  /// The bytes to write next. Answer with `advance`, also when nothing could be written.
  package mutating func head() -> ArraySlice<UInt8>? {
    if current == nil {
      if !urgent.isEmpty {
        current = (urgent.removeFirst(), 0)
      } else if !ordinary.isEmpty {
        current = (ordinary.removeFirst(), 0)
      }
    }
    isHandedOut = current != nil
    return current.map { $0.frame.bytes[$0.offset...] }
  }

  /// Says how much of `head()` is out, 0 included. A frame of which nothing is out makes way for others again.
  ///
  /// - Returns: the frame, when all of it is out now.
  @discardableResult
  package mutating func advance(_ count: Int) -> OutboundFrame? {
    isHandedOut = false
    guard let (frame, offset) = current else { return nil }
    bytes -= count
    if offset + count == 0 {
      current = nil
      if frame.urgent { urgent.insert(frame, at: 0) } else { ordinary.insert(frame, at: 0) }
      return nil
    }
    guard offset + count == frame.bytes.count else {
      current = (frame, offset + count)
      return nil
    }
    current = nil
    return frame
  }

  /// Takes back the frame that begins a job, if none of it has been written or is being written.
  package mutating func withdraw(jobID: String) -> Bool {
    if !isHandedOut { advance(0) }
    guard let index = ordinary.firstIndex(where: { $0.startsJob == jobID }) else { return false }
    bytes -= ordinary.remove(at: index).bytes.count
    return true
  }
}
