import PluginProtocol

// What is done when the end of an attempt cannot be stored, perhaps because the attempt itself has filled the disk.
extension JobRunner {
  /// How often a result is tried to be stored on a full disk before its files are given up: some six seconds.
  private static let diskTries = 5

  /// Gives back what the attempt has left in its work directory; its artifacts have been taken from there.
  ///
  /// - Returns: the end to be stored instead, when the artifacts may be what fills the disk: then nobody else would ever make
  ///   room, and they are gone.
  func makeRoom(
    _ id: JobID, _ attempt: Int, _ error: JobStoreError, _ end: AttemptEnd, tries: Int
  ) async -> AttemptEnd? {
    await store.artifacts.emptyWorkDirectory(id, attempt: attempt)
    guard case .diskFull = error, case .success(_, let artifacts) = end, !artifacts.isEmpty,
      tries > JobRunner.diskTries
    else { return nil }
    await store.artifacts.removeArtifacts(of: id, attempt: attempt)
    return .failure(
      JobFailure(
        .resource,
        "the disk is full: the job was done, and its result could not be stored; make room and submit it again"))
  }

  /// False when the task was cancelled.
  func sleep(_ time: Duration) async -> Bool {
    do {
      try await Task.sleep(for: time)
      return true
    } catch {
      return false
    }
  }
}
