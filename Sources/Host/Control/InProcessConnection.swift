import PluginProtocol

/// A worker in the same process, for one job without a daemon.
package struct InProcessConnection: WorkerConnection {
  private let handler: any ControlHandler
  private let connection: ControlConnectionID

  package init(_ handler: any ControlHandler) {
    self.handler = handler
    connection = ControlConnectionID()
  }

  package func call(
    _ method: String, _ params: JSONValue, onEvent: (@Sendable (JSONValue) async -> Void)?
  ) async throws -> JSONValue {
    do {
      return try await handler.handle(
        method, params, ControlEvents(connection: connection) { event in await onEvent?(event) })
    } catch let error as CancellationError where Task.isCancelled {
      throw error
    } catch {
      throw ControlServer.refusal(error)
    }
  }

  package func session<Value: Sendable>(
    _ body: @Sendable (any WorkerConnection) async throws -> Value
  ) async throws -> Value {
    let inner = InProcessConnection(handler)
    do {
      let value = try await body(inner)
      await handler.ended(inner.connection)
      return value
    } catch {
      await handler.ended(inner.connection)
      throw error
    }
  }
}
