public import Memory

extension Recorder {
  /// left · right as a new float32 tile `[m, n]`; see ``matmul(into:_:_:transposesLeft:transposesRight:continuing:subtracting:in:file:line:)``.
  public func matmul(
    _ left: Tile, _ right: Tile, transposesLeft: Bool = false, transposesRight: Bool = false,
    in type: ElementType? = nil, file: String = #fileID, line: Int = #line
  ) -> Tile {
    let result = makeTile(
      .float32, rows: transposesLeft ? left.columns : left.rows,
      columns: transposesRight ? right.rows : right.columns,
      validRows: transposesLeft ? left.validColumns : left.validRows,
      validColumns: transposesRight ? right.validRows : right.validColumns)
    matmul(
      into: result, left, right, transposesLeft: transposesLeft, transposesRight: transposesRight,
      continuing: false, in: type, file: file, line: line)
    return result
  }

  /// accumulator = (continuing ? accumulator : 0) ± left · right.
  ///
  /// Sums are float32 chains of fused multiply-adds in order of the inner index, so an element's value does not
  /// depend on the size of the tile. With `left` of ``ElementType/q16_rows`` and a block-quantised `right` the sums
  /// within a block are integers.
  ///
  /// - Parameters:
  ///   - subtracting: whether the product's negative is taken; only of float32 and 16-bit factors.
  ///   - left: `[m, k]` float32, q16_rows, or bfloat16 or float16 (products of 16-bit factors are exact in float32;
  ///     machines with units for them may sum in another order); `[k, m]` when transposed.
  ///   - right: `[k, n]`; `[n, k]` when transposed, and then of any type (weights `[out, in]`).
  ///   - type: the factors' 16-bit type, where a machine may keep the sum in it, rounded every few terms, instead of in float32. It may if
  ///     all of the sum's products say so and nothing reads the sum but a ``cast(_:to:file:line:)`` to that type.
  public func matmul(
    into accumulator: Tile, _ left: Tile, _ right: Tile, transposesLeft: Bool = false,
    transposesRight: Bool = false, continuing: Bool = true, subtracting: Bool = false,
    in type: ElementType? = nil, file: String = #fileID, line: Int = #line
  ) {
    let described =
      "matmul \(accumulator) ← \(left)\(transposesLeft ? "ᵀ" : "") · \(right)\(transposesRight ? "ᵀ" : "")"
    requireDefined(left, described, file, line)
    requireDefined(right, described, file, line)
    if continuing { requireDefined(accumulator, described, file, line) }
    let (m, kLeft) = transposesLeft ? (left.columns, left.rows) : (left.rows, left.columns)
    let (kRight, n) = transposesRight ? (right.columns, right.rows) : (right.rows, right.columns)
    let validLeft = transposesLeft ? left.validRows : left.validColumns
    let validRight = transposesRight ? right.validColumns : right.validRows
    check(
      kLeft == kRight && validLeft == validRight, described, file, line,
      "inner sides are \(kLeft) (valid \(validLeft)) and \(kRight) (valid \(validRight)). "
        + "Load both over the same extent, or transpose one.")
    check(
      accumulator.type == .float32 && accumulator.rows == m && accumulator.columns == n, described, file,
      line,
      "the accumulator must be float32 [\(m), \(n)].")
    check(
      !subtracting || left.type != .q16_rows, described, file, line,
      "products of integers are not subtracted. Negate what is done with the sum.")
    check(
      type == nil || type == left.type && [.bfloat16, .float16].contains(left.type), described, file, line,
      "a sum may be kept in the 16 bits of its factors, and these are \(left.type.rawValue), not \(type?.rawValue ?? "")."
    )
    switch left.type {
    case .float32:
      check(
        !right.type.isBlocked || transposesRight, described, file, line,
        "block-quantised weights lie [out, in]. Pass transposesRight: true.")
    case .q16_rows:
      check(
        right.type.isBlocked && right.type != .q16_rows && transposesRight && !transposesLeft, described,
        file,
        line, "integer rows multiply block-quantised weights [out, in]. Keep the left side float32 otherwise."
      )
    case .bfloat16, .float16:
      check(
        right.type == left.type, described, file, line,
        "16-bit factors must be of one type. Load or cast both as \(left.type.rawValue).")
    default:
      check(false, described, file, line, "the left side is \(left.type.rawValue). Load it as float32.")
    }
    append(
      .matmul(
        Matmul(
          accumulator: accumulator, left: left, right: right, transposesLeft: transposesLeft,
          transposesRight: transposesRight, continuing: continuing, subtracting: subtracting,
          narrowType: type)), file, line)
    define(accumulator)
  }
}
