internal import Memory
internal import Tiles

/// Fragments and vectors that lie in global memory from end to end: two numbers at a time, at distances that are known, which takes an
/// instruction where any stride and any bound take ten for each number.
extension PipelinedLowering {
  /// Whether a tile is read so. Its tensor must then lie as ``CUDAProgram/pairedReads`` says.
  func readsWhole(_ tile: Tile, _ reference: TileReference) -> Bool {
    let tensor = reference.tensor
    guard kernel.schedule.readsPairs, tile.columns % 8 == 0, tile.validRows.constantValue == tile.rows,
      tile.validColumns.constantValue == tile.columns, !placement.paired.contains(tile.id),
      reference.paddedAxis == nil, reference.fold == nil, let column = reference.columnAxis
    else { return false }
    return column == tensor.extents.count - 1 && reference.origin[column].remainder(by: 2) == 0
      && [.float32, .bfloat16, .float16].contains(tensor.type)
  }

  mutating func printWholeRead(_ tile: Tile, _ reference: TileReference) {
    guard let (blocks, dealsColumns) = placement.blocks(rows: tile.rows) else {
      return fail("\(tile) cannot be shared")
    }
    let (number, type) = (reference.tensor.number, reference.tensor.type)
    pairedReads.insert(number)
    let columns = dealsColumns ? tile.columns / groups : tile.columns
    let stride = reference.rowAxis.map { index.stride(number, $0) } ?? "0"
    let element = type == .float32 ? "float" : "unsigned short"
    code.open("")
    printSettling()
    code.line("long long place = \(rowStart(blocks, dealsColumns));")
    // Addresses that the compiler knew to stay would fill the registers.
    if kernel.schedule.bringsOperands { code.line("asm volatile(\"\" : \"+l\"(place));") }
    let first = (dealsColumns ? "group * \(columns) + " : "") + "2 * quad"
    code.line(
      "const \(element) *const whole = (const \(element) *)a.tensor[\(number)] + (\(index.offset(number, reference.origin))\(settles ? " + held" : "")) + place * \(stride) + \(first);"
    )
    code.line("#pragma unroll")
    code.open("for (int b = 0; b < \(blocks); ++b)")
    code.line("#pragma unroll")
    code.open("for (int h = 0; h < 2; ++h)")
    code.line("#pragma unroll")
    code.open("for (int j = 0; j < \(columns / 8); ++j)")
    let from = "whole + (64 * b + 8 * h) * \(stride) + 8 * j"
    if type == .float32 {
      code.line("const float2 two = *(const float2 *)(\(from));")
      code.line("t\(tile.id)[b][4 * j + 2 * h] = two.x, t\(tile.id)[b][4 * j + 2 * h + 1] = two.y;")
    } else {
      let name = type == .float16 ? "f16" : "bf16"
      code.line("const u32 two = *(const u32 *)(\(from));")
      code.line(
        "t\(tile.id)[b][4 * j + 2 * h] = low_\(name)(two), t\(tile.id)[b][4 * j + 2 * h + 1] = high_\(name)(two);"
      )
    }
    for _ in 0..<4 { code.close() }
  }
}
