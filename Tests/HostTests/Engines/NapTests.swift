import Synchronization
import Testing

@testable import Host

@Suite(.timeLimit(.minutes(1)))
struct NapTests {
  @Test func aWakeBeforeTheRestIsNotLost() async {
    let nap = Nap()
    nap.wake()
    nap.wake()
    await nap.rest(.seconds(3600))
  }

  @Test func aWakeEndsTheRest() async {
    let nap = Nap()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<200 {
        group.addTask { await nap.rest(nil) }
        group.addTask { nap.wake() }
        await group.next()
        await group.next()
      }
    }
  }

  @Test func cancellationEndsTheRest() async {
    for _ in 0..<200 {
      let nap = Nap()
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await nap.rest(nil) }
        group.addTask { await nap.rest(.zero) }
        group.cancelAll()
      }
    }
  }

  @Test func theTimeEndsTheRest() async {
    let nap = Nap()
    await nap.rest(.milliseconds(1))
    await nap.rest(.zero)
    nap.wake()
    await nap.rest(.seconds(3600))
  }
}
