internal import Memory
internal import Tiles

/// Elementwise steps on pairs of 16-bit numbers.
extension PipelinedLowering {
  /// Whether all of the steps are done on pairs: where each is one instruction, and all tiles hold two numbers a register or come as
  /// matrices of them. Else they are done in float32, which is as good.
  func isNarrow(_ program: MapProgram) -> Bool {
    program.narrowType != nil && program.space.columns > 1
      && program.steps.allSatisfy { step in
        switch step {
        case .load(let tile):
          placement.paired.contains(tile.id) || quartets.contains(tile.id)
            || isPerRow(tile, program.narrowType)
        case .store(_, let tile): placement.paired.contains(tile.id)
        case .compute(let function, _): [.add, .subtract, .multiply, .fma, .negate].contains(function)
        case .constant: true
        default: false
        }
      }
  }

  /// The steps for one pair.
  mutating func printNarrow(_ program: MapProgram) {
    guard let type = program.narrowType else { return }
    let form = type == .float16 ? "f16x2" : "bf16x2"
    narrowTypes.insert(type)
    var value = 0
    for step in program.steps {
      let name = "v\(value)"
      switch step {
      case .load(let tile):
        let word =
          isPerRow(tile, type)
          ? "\(packName(type))(t\(tile.id)[b][h], t\(tile.id)[b][h])"
          : quartets.contains(tile.id) ? "w\(tile.id)[j & 3]" : pair(tile)
        code.line("const u32 \(name) = \(word);")
      case .constant(let number): code.line("const u32 \(name) = \(twice(number, type));")
      case .compute(let function, let operands):
        let stem = [.add: "add", .subtract: "sub", .multiply: "mul", .fma: "fma"][function] ?? "neg"
        code.line(
          "const u32 \(name) = \(stem)_\(form)(\(operands.map { "v\($0)" }.joined(separator: ", ")));")
      case .store(let source, let tile):
        code.line("\(pair(tile)) = v\(source);\(settles ? " held |= v\(source);" : "")")
      default: break
      }
      if step.definesValue { value += 1 }
    }
  }

  /// Whether it is one number of that type for each row.
  private func isPerRow(_ tile: Tile, _ type: ElementType?) -> Bool {
    if case .perRow = placement.places[tile.id] { tile.type == type } else { false }
  }

  /// A number in both halves of a register.
  private func twice(_ number: Float, _ type: ElementType) -> String {
    let bits = type == .float16 ? Float16(number).bitPattern : BFloat16(number).bitPattern
    return "0x\(String(UInt32(bits) << 16 | UInt32(bits), radix: 16))u/* \(number), twice */"
  }
}

extension Prelude {
  private static let pinned = """
    template <int count> __device__ __forceinline__ void pin(u32 (&d)[count]) {
    #pragma unroll
      for (int i = 0; i < count; ++i) asm volatile("" : "+r"(d[i])::"memory");
    }
    """

  /// Arithmetic on pairs of 16-bit numbers.
  ///
  /// - Parameter hasSums: whether products keep sums in such pairs.
  static func narrow(_ types: Set<ElementType>, hasSums: Bool) -> String {
    (hasSums ? pinned + "\n" : "")
      + [(ElementType.bfloat16, "bf16x2"), (.float16, "f16x2")].filter { types.contains($0.0) }.map {
        _, form in
        let dyadic = ["add", "sub", "mul"].map {
          """
          __device__ __forceinline__ u32 \($0)_\(form)(u32 a, u32 b) {
            u32 y;
            asm("\($0).rn.\(form) %0, %1, %2;" : "=r"(y) : "r"(a), "r"(b));
            return y;
          }
          """
        }
        return
          (dyadic + [
            """
            __device__ __forceinline__ u32 fma_\(form)(u32 a, u32 b, u32 c) {
              u32 y;
              asm("fma.rn.\(form) %0, %1, %2, %3;" : "=r"(y) : "r"(a), "r"(b), "r"(c));
              return y;
            }
            __device__ __forceinline__ u32 neg_\(form)(u32 a) {
              u32 y;
              asm("neg.\(form) %0, %1;" : "=r"(y) : "r"(a));
              return y;
            }
            """
          ]).joined(separator: "\n")
      }.joined(separator: "\n")
  }
}
