import Host
import PluginProtocol

/// A model that an engine of the running worker holds, or is loading.
struct Resident: Equatable, Sendable {
  let json: JSONValue

  var id: String { json["id"]?.string ?? "?" }
  /// `loading` or `loaded`.
  var state: String { json["state"]?.string ?? "loaded" }

  /// `llama (pid 4711), 5 min ago, on cuda:0, 1.2 GiB, pinned, 2 users`.
  func place(now: Int64) -> String {
    let pid = json["pid"]?.int.map { " (pid \($0))" } ?? ""
    var parts = ["\(json["plugin"]?.string ?? "?")\(pid)"]
    if let since = json["since"]?.int { parts.append(Human.relative(milliseconds: since, now: now)) }
    if let device = json["device"]?.string { parts.append("on \(device)") }
    if let bytes = json["bytes"]?.int, bytes > 0 { parts.append(Human.bytes(bytes)) }
    if json["pinned"]?.bool == true { parts.append("pinned") }
    if let users = json["users"]?.int, users > 0 { parts.append("\(users) \(users == 1 ? "user" : "users")") }
    return parts.joined(separator: ", ")
  }

  /// What a running worker holds; none without one, or with one that does not say.
  static func all(of worker: (any WorkerConnection)?) async throws -> [Resident] {
    guard let worker else { return [] }
    do {
      let answer = try await worker.call("models/residency")
      return (answer["models"]?.array ?? []).map(Resident.init)
    } catch is ControlError {
      return []
    } catch let error as RPCError where error.code == RPCError.methodNotFoundCode {
      return []
    }
  }
}

/// Models, for people.
struct ModelScreen {
  let models: [ModelStatus]
  let residents: [Resident]
  let now: Int64

  /// The models, each with what is known of it in memory. A loaded model that is on no list stands at the end.
  var json: JSONValue {
    let listed = models.map { model -> JSONValue in
      var members = model.json.object ?? [:]
      let own = residents.filter { $0.id == model.id }
      if !own.isEmpty { members["residency"] = .array(own.map(\.json)) }
      return .object(members)
    }
    let others = strangers.map { resident -> JSONValue in
      ["id": .string(resident.id), "state": .string(resident.state), "residency": [resident.json]]
    }
    return ["models": .array(listed + others)]
  }

  private var strangers: [Resident] {
    let known = Set(models.map(\.id))
    return residents.filter { !known.contains($0.id) }
  }

  func table() -> Table {
    var table = Table([
      .init(title: "MODEL", isFlexible: true), .init(title: "KIND"), .init(title: "ENGINE"),
      .init(title: "STATE", colour: JobDetails.colour), .init(title: "SIZE", isNumeric: true),
      .init(title: "LICENSE", isFlexible: true), .init(title: "LOADED BY", isFlexible: true),
    ])
    for model in models {
      let own = residents.filter { $0.id == model.id }
      table.add([
        model.id, model.kind.cliName, model.engine, own.first?.state ?? ModelScreen.state(model.state),
        model.bytes.map(Human.bytes) ?? "", model.license ?? "",
        own.map { $0.place(now: now) }.joined(separator: "; "),
      ])
    }
    for resident in strangers { table.add([resident.id, "", "", resident.state, "", "", resident.place(now: now)]) }
    return table
  }

  /// `ready`, `downloading 42 %`.
  static func state(_ state: ModelState) -> String {
    guard case .downloading(let bytes, let total?) = state, total > 0 else { return state.name }
    return "\(state.name) \(min(bytes, total) / max(1, total / 100)) %"
  }
}
