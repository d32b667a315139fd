/// The version of this program and of the worker inside it.
enum StokerVersion {
  static let current = "0.1.0"
}
