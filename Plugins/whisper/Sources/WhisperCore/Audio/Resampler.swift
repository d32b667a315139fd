import Glibc

/// Changes the sample rate of a stream with a windowed sinc (Kaiser window), which also takes out what the new rate
/// cannot carry. Feed it in pieces of any size; the result does not depend on them.
///
/// The filter follows J. O. Smith, "Digital Audio Resampling". It keeps 93 % of the smaller of both bands and damps
/// what would fold back by more than 80 dB.
public struct Resampler: Sendable {
  /// Of the band that the lower of both rates can carry.
  private static let passband = 0.93
  /// Zero crossings of the sinc on each side.
  private static let crossings = 24.0
  private static let kaiserBeta = 9.6
  /// Positions between two samples for which the filter is tabulated; between them it is interpolated.
  private static let phaseLimit = 512

  /// Outputs per `step` inputs.
  private let outputs: Int
  private let step: Int
  /// Inputs that the filter reaches to each side.
  private let reach: Int
  private let phases: Int
  private let isInterpolated: Bool
  /// One row of `2 * reach` weights a phase.
  private let table: [Float]

  /// Inputs that are still needed; the first ones stand for the silence before the beginning.
  private var pending: [Float]
  /// The input, counted in `pending`, at or before the next output, and how far it is behind it, in 1/`outputs`.
  private var position: Int
  private var offset = 0
  private var inputCount = 0
  private var outputCount = 0

  /// - Parameters: both rates in samples a second, above 0.
  public init(from rate: Int, to target: Int) {
    let divisor = Self.greatestCommonDivisor(rate, target)
    outputs = target / divisor
    step = rate / divisor
    let scale = max(1, Double(rate) / Double(target))
    reach = Int((Self.crossings * scale).rounded(.up))
    isInterpolated = outputs > Self.phaseLimit
    phases = isInterpolated ? Self.phaseLimit : outputs
    table = Self.makeTable(reach: reach, phases: phases, cutoff: Self.passband / scale, withEnd: isInterpolated)
    pending = [Float](repeating: 0, count: reach - 1)
    position = reach - 1
  }

  /// Takes the next samples and appends the outputs that they complete.
  public mutating func feed(_ samples: UnsafeBufferPointer<Float>, into result: inout [Float]) {
    inputCount += samples.count
    pending.append(contentsOf: samples)
    drain(into: &result, atMost: .max)
  }

  /// Appends the outputs that reach into the silence after the end. Call once, last.
  public mutating func finish(into result: inout [Float]) {
    let total = (inputCount * outputs + step - 1) / step
    pending.append(contentsOf: repeatElement(0, count: reach))
    drain(into: &result, atMost: total - outputCount)
  }

  private mutating func drain(into result: inout [Float], atMost limit: Int) {
    var made = 0
    pending.withUnsafeBufferPointer { samples in
      while made < limit, position + reach < samples.count {
        let window = UnsafeBufferPointer(rebasing: samples[(position - reach + 1)...(position + reach)])
        result.append(value(window))
        made += 1
        offset += step
        position += offset / outputs
        offset %= outputs
      }
    }
    outputCount += made
    let unused = min(position - reach + 1, pending.count)
    if unused > 0 {
      pending.removeFirst(unused)
      position -= unused
    }
  }

  private func value(_ window: UnsafeBufferPointer<Float>) -> Float {
    table.withUnsafeBufferPointer { table in
      guard isInterpolated else { return Self.dot(window, table, row: offset) }
      let exact = Double(offset) * Double(phases) / Double(outputs)
      let row = Int(exact)
      let share = Float(exact - Double(row))
      let before = Self.dot(window, table, row: row)
      return before + (Self.dot(window, table, row: row + 1) - before) * share
    }
  }

  private static func dot(_ window: UnsafeBufferPointer<Float>, _ table: UnsafeBufferPointer<Float>, row: Int) -> Float
  {
    let start = row * window.count
    var sums = SIMD8<Float>.zero
    var index = 0
    while index + 8 <= window.count {
      var left = SIMD8<Float>.zero
      var right = SIMD8<Float>.zero
      for lane in 0..<8 {
        left[lane] = window[index + lane]
        right[lane] = table[start + index + lane]
      }
      sums += left * right
      index += 8
    }
    var sum = sums.sum()
    while index < window.count {
      sum += window[index] * table[start + index]
      index += 1
    }
    return sum
  }

  /// - Parameter withEnd: adds the row of the whole next sample, to interpolate towards.
  private static func makeTable(reach: Int, phases: Int, cutoff: Double, withEnd: Bool) -> [Float] {
    let bessel = besselI0(kaiserBeta)
    var table: [Float] = []
    let rows = phases + (withEnd ? 1 : 0)
    table.reserveCapacity(rows * reach * 2)
    for row in 0..<rows {
      let fraction = Double(row) / Double(phases)
      let weights = (1 - reach...reach).map { tap in
        let distance = Double(tap) - fraction
        let edge = distance / Double(reach)
        guard abs(edge) < 1 else { return 0.0 }
        let argument = Double.pi * cutoff * distance
        let sinc = abs(argument) < 1e-9 ? 1 : sin(argument) / argument
        return sinc * besselI0(kaiserBeta * (1 - edge * edge).squareRoot()) / bessel
      }
      // Silence and a constant stay what they are.
      let sum = weights.reduce(0, +)
      table.append(contentsOf: weights.map { Float($0 / sum) })
    }
    return table
  }

  /// The modified Bessel function of the first kind and order 0, by its power series.
  private static func besselI0(_ value: Double) -> Double {
    var sum = 1.0
    var term = 1.0
    for index in 1... {
      let factor = value / 2 / Double(index)
      term *= factor * factor
      sum += term
      if term < sum * 1e-15 { break }
    }
    return sum
  }

  private static func greatestCommonDivisor(_ first: Int, _ second: Int) -> Int {
    var (first, second) = (first, second)
    while second != 0 { (first, second) = (second, first % second) }
    return first
  }
}
