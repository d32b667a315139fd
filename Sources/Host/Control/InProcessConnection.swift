import PluginProtocol

/// A worker in the same process, for one job without a daemon.
package struct InProcessConnection: WorkerConnection {
  private let handler: any ControlHandler

  package init(_ handler: any ControlHandler) { self.handler = handler }

  package func call(
    _ method: String, _ params: JSONValue, onEvent: (@Sendable (JSONValue) async -> Void)?
  ) async throws -> JSONValue {
    do {
      return try await handler.handle(method, params, ControlEvents { event in await onEvent?(event) })
    } catch let error as CancellationError where Task.isCancelled {
      throw error
    } catch {
      throw ControlServer.refusal(error)
    }
  }
}
