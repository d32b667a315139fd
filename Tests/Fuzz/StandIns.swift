/// Compiled into the fuzzers' `Host` in place of a type that would bring the database along.
struct JobStoreError: Error, CustomStringConvertible {
  let description: String
}
