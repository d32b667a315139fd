import Testing

@testable import Host

struct MemoryLedgerTests {
  let start = MonotonicInstant(nanoseconds: 0)
  static let gib: Int64 = 1 << 30

  private func at(_ seconds: Int64) -> MonotonicInstant { start.advanced(by: .seconds(seconds)) }

  private func request(_ model: String, gib: Int64, copies: Int? = nil) -> LoadRequest {
    LoadRequest(model: model, need: MemoryAmounts([.machine: gib * Self.gib]), maxCopies: copies)
  }

  /// A ledger of 10 GiB with processes that keep up to `slots` models each.
  private func ledger(processes: Int = 3, slots: Int = 4) -> (MemoryLedger, [MemoryLedger.HolderID]) {
    var ledger = MemoryLedger(limits: [.machine: 10 * Self.gib])
    let holders = (0..<processes).map { _ in ledger.enter(MemoryLedger.Holder(plugin: "p", maxModels: slots)) }
    return (ledger, holders)
  }

  private func load(
    _ ledger: inout MemoryLedger, _ model: String, _ holder: MemoryLedger.HolderID, gib: Int64, at second: Int64
  ) {
    let key = MemoryLedger.Key(holder: holder, model: model)
    let need = MemoryAmounts([.machine: gib * Self.gib])
    ledger.begin(key, need: need, now: at(second), wall: 0)
    ledger.loaded(key, charge: need, now: at(second), wall: 0)
  }

  @Test func theLeastRecentlyUsedIdleModelLeavesFirst() {
    var (ledger, holders) = ledger()
    load(&ledger, "old", holders[0], gib: 4, at: 1)
    load(&ledger, "new", holders[1], gib: 4, at: 2)
    #expect(ledger.plan(request("x", gib: 2), holder: holders[2]) == .load)
    #expect(
      ledger.plan(request("x", gib: 3), holder: holders[2]) == .evict([.init(holder: holders[0], model: "old")]))
    let used = ledger.use(.init(holder: holders[0], model: "old"), now: at(3))
    #expect(used)
    ledger.release(.init(holder: holders[0], model: "old"), now: at(4))
    #expect(
      ledger.plan(request("x", gib: 3), holder: holders[2]) == .evict([.init(holder: holders[1], model: "new")]))
  }

  @Test func whatIsUsedOrPinnedStays() {
    var (ledger, holders) = ledger()
    let (busy, pinned) = (
      MemoryLedger.Key(holder: holders[0], model: "busy"), MemoryLedger.Key(holder: holders[1], model: "pinned")
    )
    load(&ledger, "busy", holders[0], gib: 4, at: 1)
    load(&ledger, "pinned", holders[1], gib: 4, at: 2)
    _ = ledger.use(busy, now: at(3))
    ledger.keep(pinned, pinned: true, keepAlive: nil)
    #expect(
      ledger.plan(request("x", gib: 3), holder: holders[2]) == .wait(.memory(.machine, lacking: Self.gib)))
    let (mayBusy, mayPinned) = (ledger.beginUnload(busy), ledger.beginUnload(pinned))
    #expect(!mayBusy && !mayPinned)
    guard case .never(let reason) = ledger.plan(request("x", gib: 7), holder: holders[2]) else {
      Issue.record("pinned models leave no room for 7 GiB")
      return
    }
    #expect(reason.contains("7.0 GiB") && reason.contains("10.0 GiB") && reason.contains("pinned"))
    ledger.release(busy, now: at(5))
    #expect(ledger.plan(request("x", gib: 3), holder: holders[2]) == .evict([busy]))
  }

  @Test func whatNeverFitsIsSaidAtOnceWithTheNumbers() {
    let (ledger, holders) = ledger()
    guard case .never(let reason) = ledger.plan(request("huge", gib: 11), holder: holders[0]) else {
      Issue.record("11 of 10 GiB cannot be loaded")
      return
    }
    #expect(reason == "it needs about 11.0 GiB of memory, and Stoker may use 10.0 GiB in all")
    var onDevice = request("huge", gib: 0)
    onDevice.need[.device("cuda:0")] = 5 * Self.gib
    onDevice.deviceThreshold = 4 * Self.gib
    guard case .never(let threshold) = ledger.plan(onDevice, holder: holders[0]) else {
      Issue.record("above the threshold")
      return
    }
    #expect(threshold.contains("memory.vramThreshold") && threshold.contains("4.0 GiB"))
  }

  @Test func oneLargeVictimSparesTheSmallOnesBeforeIt() {
    var (ledger, holders) = ledger()
    load(&ledger, "small", holders[0], gib: 1, at: 1)
    load(&ledger, "large", holders[1], gib: 8, at: 2)
    #expect(
      ledger.plan(request("x", gib: 6), holder: holders[2]) == .evict([.init(holder: holders[1], model: "large")]))
  }

  @Test func aProcessKeepsNoMoreModelsThanItCan() {
    var (ledger, holders) = ledger(processes: 1, slots: 1)
    load(&ledger, "a", holders[0], gib: 1, at: 1)
    #expect(ledger.plan(request("a", gib: 1), holder: holders[0]) == .present)
    #expect(ledger.plan(request("b", gib: 1), holder: holders[0]) == .evict([.init(holder: holders[0], model: "a")]))
    _ = ledger.use(.init(holder: holders[0], model: "a"), now: at(2))
    #expect(ledger.plan(request("b", gib: 1), holder: holders[0]) == .wait(.slots))
  }

  @Test func copiesAreBounded() {
    var (ledger, holders) = ledger()
    load(&ledger, "a", holders[0], gib: 1, at: 1)
    #expect(ledger.plan(request("a", gib: 1), holder: holders[1]) == .load)
    _ = ledger.use(.init(holder: holders[0], model: "a"), now: at(2))
    #expect(ledger.plan(request("a", gib: 1, copies: 1), holder: holders[1]) == .wait(.copies))
    ledger.release(.init(holder: holders[0], model: "a"), now: at(3))
    #expect(
      ledger.plan(request("a", gib: 1, copies: 1), holder: holders[1])
        == .evict([.init(holder: holders[0], model: "a")]))
  }

  @Test func measuredMemoryCanBeNarrowerThanTheLimit() {
    var (ledger, holders) = ledger()
    load(&ledger, "a", holders[0], gib: 2, at: 1)
    #expect(
      ledger.plan(request("x", gib: 3), holder: holders[1], bounds: [.machine: 4 * Self.gib])
        == .evict([.init(holder: holders[0], model: "a")]))
    #expect(
      ledger.plan(request("x", gib: 3), holder: holders[1], bounds: [.machine: 2 * Self.gib])
        == .wait(.memory(.machine, lacking: Self.gib)), "unloading alone is not enough: others hold the memory")
  }

  @Test func aDeadProcessHoldsNothing() {
    var (ledger, holders) = ledger()
    load(&ledger, "a", holders[0], gib: 9, at: 1)
    ledger.leave(holders[0])
    #expect(ledger.used(.machine) == 0)
    #expect(ledger.plan(request("x", gib: 10), holder: holders[1]) == .load)
    #expect(ledger.plan(request("x", gib: 1), holder: holders[0]) == .wait(.changing))
  }

  /// What a process keeps besides its models is held, too: a load that only fits without it never fits.
  @Test func theProcessItselfCounts() {
    var (ledger, holders) = ledger()
    ledger.setBase(MemoryAmounts([.machine: Self.gib]), of: holders[0])
    guard case .never(let reason) = ledger.plan(request("x", gib: 10), holder: holders[0]) else {
      Issue.record("10 of 10 GiB, of which its own process holds one")
      return
    }
    #expect(reason.contains("its engine holds 1.0 GiB"))
    #expect(ledger.plan(request("x", gib: 9), holder: holders[0]) == .load)
  }

  @Test func idleProcessesLeaveWhenTheirModelsAreNotEnough() {
    var (ledger, holders) = ledger()
    ledger.setBase(MemoryAmounts([.machine: 2 * Self.gib]), of: holders[0])
    ledger.setBase(MemoryAmounts([.machine: Self.gib]), of: holders[1])
    load(&ledger, "a", holders[0], gib: 3, at: 1)
    #expect(ledger.plan(request("x", gib: 7), holder: holders[2]) == .evict([.init(holder: holders[0], model: "a")]))
    #expect(ledger.plan(request("x", gib: 9), holder: holders[2]) == .stop([holders[0]]))
    #expect(ledger.plan(request("x", gib: 10), holder: holders[2]) == .stop([holders[0], holders[1]]))
    ledger.markLeaving(holders[0])
    #expect(ledger.plan(request("x", gib: 9), holder: holders[2]) == .wait(.changing), "it is on its way out")
    let mayUnload = ledger.beginUnload(.init(holder: holders[0], model: "a"))
    #expect(!mayUnload)
    #expect(ledger.plan(request("y", gib: 1), holder: holders[0]) == .wait(.changing))
    ledger.leave(holders[0])
    #expect(ledger.plan(request("x", gib: 9), holder: holders[2]) == .load)
    load(&ledger, "b", holders[1], gib: 1, at: 2)
    _ = ledger.use(.init(holder: holders[1], model: "b"), now: at(3))
    #expect(
      ledger.plan(request("x", gib: 9), holder: holders[2]) == .wait(.memory(.machine, lacking: Self.gib)),
      "a process at work stays")
  }

  @Test func hugeNumbersFromEnginesDoNotTrap() {
    var (ledger, holders) = ledger(slots: 8)
    for (index, holder) in holders.enumerated() {
      let key = MemoryLedger.Key(holder: holder, model: "m\(index)")
      ledger.begin(key, need: MemoryAmounts(), now: at(0), wall: 0)
      ledger.loaded(key, charge: MemoryAmounts([.machine: .max]), now: at(0), wall: 0)
      ledger.keep(key, pinned: true, keepAlive: nil)
    }
    #expect(ledger.used(.machine) == .max)
    guard case .never = ledger.plan(request("x", gib: 1), holder: holders[0]) else {
      Issue.record("there is no room beside them")
      return
    }
  }

  @Test func idleTimeEndsAStay() {
    var (ledger, holders) = ledger()
    load(&ledger, "a", holders[0], gib: 1, at: 10)
    let key = MemoryLedger.Key(holder: holders[0], model: "a")
    ledger.keep(key, pinned: false, keepAlive: .seconds(30))
    #expect(ledger.expired(now: at(39)).due.isEmpty)
    #expect(ledger.expired(now: at(39)).next == at(40))
    #expect(ledger.expired(now: at(40)).due == [key])
    _ = ledger.use(key, now: at(40))
    #expect(ledger.expired(now: at(100)).due.isEmpty && ledger.expired(now: at(100)).next == nil)
  }

  /// Whatever is asked: the limit holds, users keep their models, and the sums stay the sums.
  @Test(arguments: 0..<20)
  func randomWalksStayWithinTheBudget(seed: UInt64) {
    var numbers = SeededNumbers(seed)
    var (ledger, holders) = ledger(processes: 4, slots: 3)
    var now = start
    var used: [MemoryLedger.Key: Int] = [:]
    for _ in 0..<2000 {
      now = now.advanced(by: .milliseconds(Int64.random(in: 1...500, using: &numbers)))
      guard let holder = holders.randomElement(using: &numbers) else { return }
      let model = "m\(Int.random(in: 0..<6, using: &numbers))"
      let key = MemoryLedger.Key(holder: holder, model: model)
      switch Int.random(in: 0..<10, using: &numbers) {
      case 0..<5:
        let wanted = request(model, gib: Int64.random(in: 1...6, using: &numbers), copies: 2)
        switch ledger.plan(wanted, holder: holder) {
        case .load:
          ledger.begin(key, need: wanted.need, now: now, wall: 0)
          if Bool.random(using: &numbers) { ledger.loaded(key, charge: wanted.need, now: now, wall: 0) }
        case .evict(let victims):
          for victim in victims {
            #expect(used[victim, default: 0] == 0, "a model in use was to leave")
            let begun = ledger.beginUnload(victim)
            #expect(begun)
            ledger.remove(victim)
          }
        case .present:
          let isUsed = ledger.use(key, now: now)
          #expect(isUsed)
          used[key, default: 0] += 1
        case .wait, .never, .stop: break
        }
      case 5..<8:
        guard let some = used.filter({ $0.value > 0 }).keys.sorted(by: { "\($0)" < "\($1)" }).first else { continue }
        ledger.release(some, now: now)
        used[some, default: 1] -= 1
      case 8:
        if ledger.residents[key]?.state == .loading {
          ledger.loaded(key, charge: ledger.residents[key]?.charge ?? MemoryAmounts(), now: now, wall: 0)
        }
      default:
        guard Int.random(in: 0..<10, using: &numbers) == 0 else { continue }
        ledger.leave(holder)
        used = used.filter { $0.key.holder != holder }
        holders.removeAll { $0 == holder }
        holders.append(ledger.enter(MemoryLedger.Holder(plugin: "p", maxModels: 3)))
      }
      #expect(ledger.used(.machine) <= 10 * Self.gib)
      for holder in holders { #expect(ledger.residents(of: holder).count <= 3) }
      for model in Set(ledger.residents.keys.map(\.model)) {
        #expect(ledger.residents.keys.filter { $0.model == model }.count <= 2)
      }
    }
  }
}
