import Glibc
import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

/// The kernels that H3 goes on with against its definition, sums over all positions in float64.
@Suite struct H3StepTests {
  private typealias Complex = (real: Double, imaginary: Double)

  private static func product(_ a: Complex, _ b: Complex) -> Complex {
    (a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real)
  }

  private static func power(_ a: Complex, _ exponent: Int) -> Complex {
    let (size, angle) = (hypot(a.real, a.imaginary), atan2(a.imaginary, a.real) * Double(exponent))
    return (pow(size, Double(exponent)) * cos(angle), pow(size, Double(exponent)) * sin(angle))
  }

  /// Steps from the first position on, over spans whose rings wrap round, and the states that they leave.
  @Test(arguments: [(8, 4), (6, 4), (40, 5), (64, 32), (80, 40), (250, 125)]) func stepsAreConvolutions(
    sizes: (taps: Int, modes: Int)
  ) throws {
    let (batch, width, (taps, modes)) = (3, 5, sizes)
    let (span, part) = (H3Step.span, H3Step.part)
    let shape = H3Span.Shape(modes: modes, taps: taps, type: .float32)
    let places = shape.places
    let steps = places + 2 * span + 3
    func random(_ shape: [Int], _ seed: UInt64, _ range: ClosedRange<Float> = -1...1) throws -> Tensor {
      try Tensor(random: .float32, shape, seed: seed, in: range)
    }
    func tensor(_ shape: [Int], _ number: ([Int]) -> Double) throws -> Tensor {
      let result = try Tensor(zeros: .float32, shape)
      result.withMutableElements(as: Float.self) { span in
        for place in span.indices {
          var (rest, at) = (place, [Int](repeating: 0, count: shape.count))
          for axis in shape.indices.reversed() {
            (rest, at[axis]) = rest.quotientAndRemainder(dividingBy: shape[axis])
          }
          span[place] = Float(number(at))
        }
      }
      return result
    }
    let shift = try values(random([width, taps], 1, -0.3...0.3))
    let p = try [random([width, modes], 2, -0.6...0.6), random([width, modes], 3, -0.6...0.6)].map(values)
    let c = try [random([width, modes], 4, -0.2...0.2), random([width, modes], 5, -0.2...0.2)].map(values)
    let (keySkip, skip) = (try values(random([width], 6)), try values(random([width], 7)))
    func pole(_ channel: Int, _ mode: Int, _ exponent: Int) -> Complex {
      Self.power((p[0][channel * modes + mode], p[1][channel * modes + mode]), exponent)
    }
    func residue(_ channel: Int, _ mode: Int, _ exponent: Int) -> Complex {
      Self.product(
        (c[0][channel * modes + mode], c[1][channel * modes + mode]), pole(channel, mode, exponent))
    }
    func tap(_ channel: Int, _ lag: Int) -> Double { lag < taps ? shift[channel * taps + lag] : 0 }
    let filters = (0..<width).map { channel in
      (0..<steps).map { lag in (0..<modes).reduce(0.0) { $0 + residue(channel, $1, lag).real } }
    }
    func filter(_ channel: Int, _ lag: Int) -> Double { filters[channel][lag] }
    func component(_ value: Complex, _ number: Int) -> Double { number == 0 ? value.real : value.imaginary }
    // What steps take.
    let stepShape = H3Step.Shape(width: width, type: .float32, cores: 1)
    let padded = stepShape.paddedWidth
    func line(_ filter: (Int, Int) -> Double) throws -> Tensor {
      try tensor([2 * part, padded]) { at in
        if at[1] >= width { return 0 }
        return at[0] == part ? 1 : at[0] == 0 || at[0] > part ? 0 : filter(at[1], part - at[0])
      }
    }
    let ofParts = try [tap, filter].map { filter in try tensor([width, span]) { filter($0[0], $0[1]) } }
    let memories = try (0..<2).map { _ in try Tensor(zeros: .float32, [padded, span, batch]) }
    let halves = try [
      memories[0], line(tap), tensor([padded]) { $0[0] < width ? tap($0[0], 0) + keySkip[$0[0]] : 0 },
      memories[1], line(filter), tensor([padded]) { $0[0] < width ? filter($0[0], 0) + skip[$0[0]] : 0 },
    ]
    let own = memories.map { $0.sliced(axis: 0, 0..<width) }
    // One task has all channels, so that parts lie behind each other.
    let weights = try values(random([3, width, width], 8))
    let biases = try values(random([3, width], 9))
    let projection = [
      try tensor([3 * padded, width]) { at in
        let (part, channel) = at[0].quotientAndRemainder(dividingBy: padded)
        return channel < width ? weights[(part * width + channel) * width + at[1]] : 0
      },
      try tensor([3 * padded]) { at in
        let (part, channel) = at[0].quotientAndRemainder(dividingBy: padded)
        return channel < width ? biases[part * width + channel] : 0
      },
    ]
    // What ends of spans take.
    let entering =
      try [
        tensor([width, 1, 2 * places, span]) { at in
          at[2] % places < places - span ? tap(at[0], at[3] + places - at[2] % places) : 0
        },
        tensor([width, 1, span, span]) { tap($0[0], $0[3] + span - $0[2]) },
      ]
      + (0..<2).map { number in
        try tensor([width, 1, span, modes]) { component(pole($0[0], $0[3], span - 1 - $0[2]), number) }
      }
    let turns = try (0..<2).map { number in
      try tensor([width, modes]) { component(pole($0[0], $0[1], span), number) }
    }
    let leaving = try (0..<2).map { number in
      try tensor([width, 1, modes, span]) { at in
        (number == 0 ? 1 : -1) * component(residue(at[0], at[2], at[3] + 1), number)
      }
    }
    let ring = try Tensor(zeros: .float32, [batch, width, places])
    let states = try (0..<2).map { _ in try Tensor(zeros: .float32, [batch, width, modes]) }
    let executor = try CPUExecutor(threads: 2)
    #expect(stepShape.channels == padded)
    let step = try executor.compile(H3Step.kernel(stepShape))
    let end = try executor.compile(H3Span.kernel(shape))
    let partEnd = try executor.compile(H3Part.kernel())
    let inputs = try (0..<steps).map { try random([batch, width], UInt64(20 + $0), -0.5...0.5) }
    let numbers = inputs.map { rows in
      let rows = values(rows)
      return (0..<batch * 3 * width).map { place -> Double in
        let (row, channel) = place.quotientAndRemainder(dividingBy: width)
        let (sequence, part) = row.quotientAndRemainder(dividingBy: 3)
        return (0..<width).reduce(biases[part * width + channel]) {
          $0 + rows[sequence * width + $1] * weights[(part * width + channel) * width + $1]
        }
      }
    }
    func input(_ step: Int, _ sequence: Int, _ part: Int, _ channel: Int) -> Double {
      numbers[step][(sequence * 3 + part) * width + channel]
    }
    /// What the diagonal state space takes.
    let all = (0..<batch).map { sequence in
      (0..<width).map { channel in
        (0..<steps).map { at -> Double in
          let shifted = (0...min(at, taps - 1)).reduce(0.0) {
            $0 + tap(channel, $1) * input(at - $1, sequence, 1, channel)
          }
          return (shifted + keySkip[channel] * input(at, sequence, 1, channel))
            * input(at, sequence, 2, channel)
        }
      }
    }
    func entered(_ at: Int, _ sequence: Int, _ channel: Int) -> Double { all[sequence][channel][at] }
    // Sums of some hundred products whose factors stay below a few units.
    let bound = Double(taps + 2 * modes * 8) * 0x1p-22
    for number in 0..<steps {
      let clock = try Tensor(zeros: .int32, [1])
      clock.withMutableElements(as: Int32.self) { $0[0] = Int32(number) }
      let y = try poisoned(.float32, [batch, padded])
      try step.run([clock, inputs[number]] + projection + halves + [y])
      if number % span < span - 1, number % part == part - 1 {
        try partEnd.run([clock] + own + own + ofParts)
      }
      if number % span == span - 1 {
        try end.run([clock] + own + [ring, ring] + entering + turns + states + leaving)
      }
      var exact: [Double] = []
      for sequence in 0..<batch {
        for channel in 0..<width {
          let sum = (0...number).reduce(skip[channel] * entered(number, sequence, channel)) {
            $0 + filter(channel, number - $1) * entered($1, sequence, channel)
          }
          exact.append(sum * input(number, sequence, 0, channel))
        }
      }
      let found = values(y)
      let real = (0..<batch).flatMap { found[$0 * padded..<$0 * padded + width] }
      // Channels that are there to fill tasks give nothing.
      #expect(
        (0..<batch).allSatisfy { found[$0 * padded + width..<($0 + 1) * padded].allSatisfy { $0 == 0 } })
      #expect(error(real, exact, inUnitsOf: bound) <= 1, "step \(number)")
    }
    let whole = steps / span * span
    for number in 0..<2 {
      var exact: [Double] = []
      for sequence in 0..<batch {
        for channel in 0..<width {
          for mode in 0..<modes {
            exact.append(
              (0..<whole).reduce(0) {
                $0 + component(pole(channel, mode, whole - 1 - $1), number) * entered($1, sequence, channel)
              })
          }
        }
      }
      #expect(error(values(states[number]), exact, inUnitsOf: bound) <= 1)
    }
  }

  @Test(arguments: [(ElementType.float32, 64), (.float32, 192), (.bfloat16, 128)])
  func statesAreThoseOfTheRecurrence(type: ElementType, length: Int) throws {
    let (batch, channels, modes) = (3, 2, 5)
    let shape = DiagonalStates.Shape(modes: modes, type: type)
    let x = try Tensor(random: type, [batch, channels, length], seed: 3, in: -1...1)
    let poles: [Complex] = (0..<channels * modes).map { mode in
      let size = 1 - 0.05 * Double(mode)
      return (size * cos(0.7 * Double(mode)), size * sin(0.7 * Double(mode)))
    }
    func part(_ value: Complex, _ number: Int) -> Double { number == 0 ? value.real : value.imaginary }
    let powers = try (0..<2).map { number in
      let exact = (0..<channels * shape.chunk * modes).map { place -> Float in
        let (channel, rest) = place.quotientAndRemainder(dividingBy: shape.chunk * modes)
        let (at, mode) = rest.quotientAndRemainder(dividingBy: modes)
        return Float(part(Self.power(poles[channel * modes + mode], shape.chunk - 1 - at), number))
      }
      let result = try Tensor(zeros: type, [channels, shape.parts, shape.chunk, modes])
      let each = shape.chunk * modes
      for place in exact.indices {
        let (channel, rest) = place.quotientAndRemainder(dividingBy: each)
        if type == .float32 {
          result.withMutableElements(as: Float.self) { $0[place] = exact[place] }
        } else {
          // The number, and what rounding took off it.
          let first = BFloat16(exact[place])
          let second = BFloat16(exact[place] - Float(first))
          result.withMutableElements(as: UInt16.self) { span in
            span[channel * 2 * each + rest] = first.bitPattern
            span[channel * 2 * each + each + rest] = second.bitPattern
          }
        }
      }
      return result
    }
    let turns = try (0..<2).map { number in
      let result = try Tensor(zeros: .float32, [channels, modes])
      result.withMutableElements(as: Float.self) { span in
        for index in poles.indices {
          span[index] = Float(part(Self.power(poles[index], shape.chunk), number))
        }
      }
      return result
    }
    let states = try (0..<2).map { _ in try poisoned(.float32, [batch, channels, modes]) }
    try CPUExecutor(threads: 2).compile(DiagonalStates.kernel(shape)).run([x] + powers + turns + states)
    let numbers = values(x)
    for number in 0..<2 {
      var exact: [Double] = []
      for row in 0..<batch * channels {
        for mode in 0..<modes {
          var state: Complex = (0, 0)
          for at in 0..<length {
            state = Self.product(state, poles[row % channels * modes + mode])
            state.real += numbers[row * length + at]
          }
          exact.append(part(state, number))
        }
      }
      // Powers are known to 2⁻²⁴, or to 2⁻¹⁶ as sums of two numbers of 8 bits; as many terms as positions.
      let bound = Double(length) * (type == .float32 ? 0x1p-22 : 0x1p-15)
      #expect(error(values(states[number]), exact, inUnitsOf: bound) <= 1)
    }
  }

  /// All of H3 on whole sequences by its definition: both convolutions written out, and the recurrence's last state.
  @Test(arguments: [ElementType.float32, .bfloat16]) func chunksAreConvolutions(type: ElementType) throws {
    let (batch, channels, modes, length, chunk) = (3, 2, 5, 192, H3Chunks.chunk)
    let shape = H3Chunks.Shape(modes: modes, type: type)
    let sequences = try (1...3).map {
      try Tensor(random: type, [batch, channels, length], seed: UInt64($0), in: -1...1)
    }
    let taps = try values(Tensor(random: .float32, [channels, chunk], seed: 4, in: -0.2...0.2))
    let poles: [Complex] = (0..<channels * modes).map { mode in
      let size = 0.99 - 0.03 * Double(mode)
      return (size * cos(0.7 * Double(mode)), size * sin(0.7 * Double(mode)))
    }
    let residues = try (5...6).map {
      try values(Tensor(random: .float32, [channels, modes], seed: UInt64($0), in: -0.2...0.2))
    }
    /// c · Ā^exponent of a channel's mode.
    func term(_ channel: Int, _ mode: Int, _ exponent: Int) -> Complex {
      let place = channel * modes + mode
      return Self.product((residues[0][place], residues[1][place]), Self.power(poles[place], exponent))
    }
    func filter(_ channel: Int, _ lag: Int) -> Double {
      (0..<modes).reduce(lag == 0 ? 0.5 : 0) { $0 + term(channel, $1, lag).real }
    }
    /// Numbers `[channels, rows, columns]` as sums of numbers of the sequences' type.
    func factor(_ rows: Int, _ columns: Int, _ number: (Int, Int, Int) -> Double) throws -> Tensor {
      let result = try Tensor(zeros: type, [channels, shape.parts, rows, columns])
      for channel in 0..<channels {
        for row in 0..<rows {
          for column in 0..<columns {
            let exact = Float(number(channel, row, column))
            let place = (channel * shape.parts * rows + row) * columns + column
            guard type == .bfloat16 else {
              result.withMutableElements(as: Float.self) { $0[place] = exact }
              continue
            }
            let first = BFloat16(exact)
            result.withMutableElements(as: UInt16.self) { span in
              span[place] = first.bitPattern
              span[place + rows * columns] = BFloat16(exact - Float(first)).bitPattern
            }
          }
        }
      }
      return result
    }
    let shift = try factor(2 * chunk, chunk) { channel, s, t in
      (0..<chunk).contains(chunk + t - s) ? taps[channel * chunk + chunk + t - s] : 0
    }
    let near = try factor(chunk, chunk) { channel, s, t in t < s ? 0 : filter(channel, t - s) }
    let far = try [1.0, -1].enumerated().map { number, sign in
      try factor(modes, chunk) { channel, mode, t in
        let value = term(channel, mode, t + 1)
        return sign * (number == 0 ? value.real : value.imaginary)
      }
    }
    func pole(_ channel: Int, _ mode: Int, _ exponent: Int, _ part: Int) -> Double {
      let value = Self.power(poles[channel * modes + mode], exponent)
      return part == 0 ? value.real : value.imaginary
    }
    let powers = try (0..<2).map { part in
      try factor(chunk, modes) { channel, s, mode in pole(channel, mode, chunk - 1 - s, part) }
    }
    let turns = try (0..<2).map { part in
      let result = try Tensor(zeros: .float32, [channels, modes])
      result.withMutableElements(as: Float.self) { span in
        for place in span.indices { span[place] = Float(pole(place / modes, place % modes, chunk, part)) }
      }
      return result
    }
    let states = try (0..<2).map { _ in try poisoned(.float32, [batch, channels, modes]) }
    let y = try poisoned(type, [batch, channels, length])
    try CPUExecutor(threads: 2).compile(H3Chunks.kernel(shape)).run(
      sequences + [shift, near] + far + powers + turns + states + [y])
    let (keys, others, queries) = (values(sequences[0]), values(sequences[1]), values(sequences[2]))
    var results: [Double] = []
    var ends: [[Double]] = [[], []]
    for row in 0..<batch * channels {
      let (channel, start) = (row % channels, row * length)
      let x = (0..<length).map { t in
        others[start + t]
          * (0...min(t, chunk - 1)).reduce(0.0) {
            $0 + taps[channel * chunk + $1] * keys[start + t - $1]
          }
      }
      for t in 0..<length {
        results.append(
          queries[start + t] * (0...t).reduce(0.0) { $0 + filter(channel, t - $1) * x[$1] })
      }
      for mode in 0..<modes {
        for part in 0..<2 {
          ends[part].append(
            (0..<length).reduce(0.0) { $0 + pole(channel, mode, length - 1 - $1, part) * x[$1] })
        }
      }
    }
    // x is rounded to 8 bits where sequences are, and so is y; sums of as many terms as positions otherwise.
    let bound = type == .float32 ? Double(length) * 0x1p-22 : Double(length) * 0x1p-12
    #expect(error(values(y), results, inUnitsOf: bound) <= 1)
    for part in 0..<2 { #expect(error(values(states[part]), ends[part], inUnitsOf: bound) <= 1) }
  }
}
