import PluginProtocol

/// Serves the control socket: JSON-RPC 2.0 lines for the command line of the same user.
package struct ControlServer: Sendable {
  private let path: String
  private let handler: any ControlHandler

  /// - Parameter path: Where the socket goes; its directory is made private to this user.
  package init(path: String, handler: any ControlHandler) {
    self.path = path
    self.handler = handler
  }

  /// Serves until the task is cancelled. Then the handlers' tasks are cancelled, their answers leave, within a second,
  /// and the socket is removed.
  ///
  /// - Parameter ready: Called once, when clients can connect.
  /// - Throws: `ControlError`, before `ready` is called, when the socket cannot be had.
  package func run(ready: @Sendable () -> Void = {}) async throws {
    let listener = try ControlListener(path: path)
    let reactor = try ControlReactor(listener: listener.descriptor)
    ready()
    let served = await withTaskCancellationHandler {
      await withTaskGroup(of: Bool.self) { group in
        group.addTask { await reactor.run() }
        group.addTask {
          await serve(reactor.links)
          return true
        }
        var served = true
        for await outcome in group where !outcome { served = false }
        return served
      }
    } onCancel: {
      reactor.stop()
    }
    guard served else { throw ControlError.system(doing: "start a thread for", path: path, code: 11) }
  }

  private func serve(_ links: AsyncStream<ControlLink>) async {
    await withDiscardingTaskGroup { group in
      for await link in links {
        group.addTask { await serve(link) }
      }
    }
  }

  private func serve(_ link: ControlLink) async {
    let connection = ControlConnectionID()
    await withDiscardingTaskGroup { group in
      for await request in link.requests {
        group.addTask { await answer(request, on: link, connection) }
      }
      // The client is gone or the server stops: nobody waits for what is still being done.
      group.cancelAll()
    }
    await handler.ended(connection)
    link.markServed()
  }

  private func answer(
    _ request: ControlRequest, on link: ControlLink, _ connection: ControlConnectionID
  ) async {
    let events = ControlEvents(connection: connection) { event in
      let params: JSONValue = ["requestId": request.id.json, "event": event]
      await link.send(
        ControlServer.frame(.notification(method: ControlProtocol.eventMethod, params: params)), droppable: true)
    }
    let answer: Envelope
    do {
      answer = .response(id: request.id, result: try await handler.handle(request.method, request.params, events))
    } catch {
      answer = .failure(id: request.id, error: ControlServer.refusal(error))
    }
    await link.send(ControlServer.frame(answer), droppable: false)
    link.finish(request.id)
  }

  /// The error as the client sees it.
  static func refusal(_ error: any Error) -> RPCError {
    switch error {
    case let error as RPCError: error
    case is CancellationError: RPCError(.cancelled, "the worker is stopping")
    default: RPCError(control: .internal, "\(error)")
    }
  }

  /// The frame, or an error in its place when no client could read it.
  private static func frame(_ envelope: Envelope) -> [UInt8] {
    let frame = envelope.frame
    guard frame.count > ControlProtocol.maximumLineBytes, case .response(let id, _) = envelope else { return frame }
    return Envelope.failure(
      id: id, error: RPCError(control: .internal, "the answer has \(frame.count) bytes, more than a line may have")
    ).frame
  }
}
