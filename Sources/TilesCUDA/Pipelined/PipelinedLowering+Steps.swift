internal import Memory
internal import Tiles

extension PipelinedLowering {
  mutating func print(_ step: RoleStep) {
    switch step {
    case .loop(let number, let from, let below, let body):
      let count = name("count")
      code.line("const int \(count) = \(index(below));")
      code.open("for (int step\(number) = \(from); step\(number) < \(count); ++step\(number))")
      // What depends on it is then computed in each turn, and not kept in registers from before the loop.
      if isGroup, kernel.schedule.recomputesAddresses { code.line("asm volatile(\"\" : \"+r\"(row0));") }
      for inner in body { print(inner) }
      // Else one thread could fill a ring for the next turn, and groups empty it, before others have seen it empty in this one.
      if fillsAlone(body) { code.line("group_barrier(\(Self.loaderBarrier), 128);") }
      code.close()
    case .with(let number, let value, let body):
      let given = name("given")
      code.open("")
      code.line("const int \(given) = \(index(value));")
      code.open("")
      code.line("const int step\(number) = \(given);")
      for inner in body { print(inner) }
      code.close()
      code.close()
    case .behind(let kept, let body):
      behind.formUnion(kept)
      for inner in body { print(inner) }
      behind.subtract(kept)
    case .when(let lower, let upper, let body):
      code.open("if (\(index(lower)) < \(index(upper)))")
      for inner in body { print(inner) }
      code.close()
    case .awaitEmpty(let ring): code.line("barrier_wait(empty\(ring) + 8 * slot\(ring), phase\(ring) ^ 1);")
    case .expect(let ring):
      if bulkBytes(ring) == 0 { break }
      code.line("\(byOneThread)barrier_expect(full\(ring) + 8 * slot\(ring), \(bulkBytes(ring)));")
    case .copy(let tile): printCopy(tile, prefetches: false)
    case .prefetch(let tile): printCopy(tile, prefetches: true)
    case .advance(let ring):
      if !isGroup, isFolded(ring) { printFoldedArrival(ring) }
      let stages = rings[ring].stages
      code.line(
        stages == 1
          ? "phase\(ring) ^= 1;" : "if (++slot\(ring) == \(stages)) slot\(ring) = 0, phase\(ring) ^= 1;")
    case .awaitFull(let ring):
      code.line("barrier_wait(full\(ring) + 8 * slot\(ring), phase\(ring));")
      // Threads copied it, and products read it otherwise than they do.
      if isFolded(ring) { code.line("async_fence();") }
    case .release(let ring, let behind):
      let slot = behind == 0 ? "slot\(ring)" : slotBefore(ring)
      // One lane speaks for the warp, so the others must be done with what they read.
      code.line("__syncwarp();")
      code.line("if (lane == 0) barrier_arrive(empty\(ring) + 8 * \(slot));")
    case .issue(let product): printProduct(product)
    case .awaitProducts(let pending, let finished):
      code.line("matmul_wait<\(pending)>();")
      for tile in finished {
        if case .fragment(let blocks, _, _) = placement.places[tile.id] {
          for block in 0..<blocks { code.line("pin(\(registers(ofSum: tile))[\(block)]);") }
        }
      }
    case .awaitTurn: code.line("group_barrier(\(Self.turnBarrier) + group, 256);")
    case .passTurn:
      let next = groups == 2 ? "1 - group" : "(group == \(groups - 1) ? 0 : group + 1)"
      code.line("group_arrive(\(Self.turnBarrier) + \(next), 256);")
    case .pack(let tile): printPack(tile)
    case .stage(let tile): printStage(tile)
    case .meet(let fences):
      if fences { code.line("async_fence();") }
      code.line("group_barrier(1, \(128 * groups));")
    case .map(let program): printMap(program)
    case .combine(let tile, let reduction, let continuing): printCombination(tile, reduction, continuing)
    case .transpose(let tile, let source): printTranspose(tile, source)
    case .columns(let tile, let sources, let first): printColumns(tile, sources, from: first)
    case .fill(let tile, let value): printFill(tile, value)
    case .read(let tile, let reference): printRead(tile, reference)
    case .store(let tile, let reference): printStore(tile, reference, adds: false)
    case .add(let tile, let reference): printStore(tile, reference, adds: true)
    }
  }

  // MARK: Copies

  private mutating func printCopy(_ number: Int, prefetches: Bool) {
    guard case .ring(let ring, let slot) = placement.places[number],
      let reference = placement.references[number]
    else {
      return
    }
    let shared = rings[ring].slots[slot]
    if let fold = reference.fold {
      return printFoldedCopy(number, reference, fold, ring: ring, slot: slot, prefetches: prefetches)
    }
    let rank = reference.tensor.extents.count
    let innerAxis = rank - 1
    let outerAxis = shared.isTransposed ? reference.columnAxis : reference.rowAxis
    guard rank <= 5 else { return fail("\(reference.tensor.name) has \(rank) axes, bulk copies take 5") }
    if prefetches { prefetchRanks.insert(rank) } else { copyRanks.insert(rank) }
    let step = min(256, shared.outer)
    guard shared.outer % step == 0 else {
      return fail("a tile of \(shared.outer) rows is no multiple of 256")
    }
    // Vectors of more than 256 numbers come in pieces too.
    let width = shared.isVector ? min(256, shared.inner) : shared.panelElements
    guard shared.inner % width == 0 else {
      return fail("a row of \(shared.inner) numbers is no multiple of 256")
    }
    var box = [Int](repeating: 1, count: rank)
    box[innerAxis] = width
    if let outerAxis, !shared.isVector { box[outerAxis] = step }
    let descriptor = map(reference.tensor.number, box: box, swizzle: shared.swizzle)
    let panels = shared.inner / width
    let panelBytes = shared.isVector ? width * shared.type.blockBytes : shared.panelBytes
    // The addresses of many copies in a row would not fit the loader's registers.
    let isLoop = panels > Self.unrolledCopies
    for outer in stride(from: 0, to: shared.outer, by: step) {
      for panel in 0..<(isLoop ? 1 : panels) {
        let places = (0..<rank).reversed().map { axis in
          var place = reference.origin[axis]
          // Blocks travel as pairs of bytes.
          if axis == innerAxis, shared.type.isBlocked {
            place = place / Index(shared.type.blockElements) * Index(shared.type.blockBytes / 2)
          }
          if axis == innerAxis { place = place + Index(panel * width) }
          if axis == outerAxis, !shared.isVector { place = place + Index(outer) }
          return index(place) + (axis == innerAxis && isLoop ? " + p * \(width)" : "")
        }.joined(separator: ", ")
        let offset =
          "\(panel * panelBytes + (shared.isVector ? 0 : outer * shared.span))"
          + (isLoop ? " + p * \(panelBytes)" : "")
        if isLoop {
          code.line("#pragma unroll 1")
          code.open("for (int p = 0; p < \(panels); ++p)")
        }
        code.line(
          byOneThread
            + (prefetches
              ? "prefetch_\(rank)(&a.map[\(descriptor)], \(places));"
              : "copy_in_\(rank)(\(slotAddress(ring, slot)) + \(offset), &a.map[\(descriptor)], full\(ring) + 8 * slot\(ring), \(places));")
        )
        if isLoop { code.close() }
      }
    }
  }

  /// Copies of one tile that are printed one after the other.
  private static let unrolledCopies = 8

  /// Address of a tile in the ring's present slot.
  func slotAddress(_ ring: Int, _ slot: Int) -> String {
    let offset = rings[ring].offset(of: slot)
    let turn = rings[ring].stages == 1 ? "" : " + \(turn(ring)) * \(rings[ring].slotBytes)"
    return "ring\(ring)\(turn)\(offset == 0 ? "" : " + \(offset)")"
  }

  private func slotBefore(_ ring: Int) -> String {
    "(slot\(ring) == 0 ? \(rings[ring].stages - 1) : slot\(ring) - 1)"
  }

  /// Number of the slot that is read.
  private func turn(_ ring: Int) -> String { behind.contains(ring) ? slotBefore(ring) : "slot\(ring)" }

  /// The same, in bytes from the start of shared memory.
  func slotOffset(_ ring: Int, _ slot: Int) -> String {
    let turn = rings[ring].stages == 1 ? "" : " + \(turn(ring)) * \(rings[ring].slotBytes)"
    return "\(rings[ring].offset + rings[ring].offset(of: slot))\(turn)"
  }

  /// Each row's first thread writes its number where all threads then read it as a column's.
  private mutating func printTranspose(_ tile: Tile, _ source: Tile) {
    guard case .perRow(let blocks) = placement.places[source.id], let offset = rowOffsets[tile.id],
      let (_, dealsColumns) = placement.blocks(rows: source.rows)
    else { return fail("\(source) cannot be transposed") }
    code.line("#pragma unroll")
    code.open("for (int b = 0; b < \(blocks); ++b)")
    code.line("#pragma unroll")
    code.line(
      "for (int h = 0; h < 2; ++h) if (quad == 0) ((float *)(memory + \(offset)))[\(rowStart(blocks, dealsColumns)) + 64 * b + 8 * h] = t\(source.id)[b][h];"
    )
    code.close()
  }

  /// Registers renamed: the compiler moves nothing.
  private mutating func printColumns(_ tile: Tile, _ sources: [Tile], from first: Int) {
    guard case .fragment(let blocks, let columns, false) = placement.places[tile.id], first % 8 == 0,
      sources.allSatisfy({
        if case .fragment(blocks, _, false) = placement.places[$0.id] { $0.columns % 8 == 0 } else { false }
      })
    else { return fail("columns of \(sources) are not in one group's registers") }
    let isPaired = placement.paired.contains(tile.id)
    guard sources.allSatisfy({ placement.paired.contains($0.id) == isPaired }) else {
      return fail("columns of \(sources) are partly two in a register")
    }
    let (name, numbers) = isPaired ? ("q", 4) : ("t", 2)
    var start = -first
    for source in sources {
      let (from, below) = (max(0, start), min(columns, start + source.columns))
      if from < below {
        code.line("#pragma unroll")
        code.open("for (int b = 0; b < \(blocks); ++b)")
        code.line("#pragma unroll")
        code.line(
          "for (int i = 0; i < \((below - from) / numbers); ++i) \(name)\(tile.id)[b][\(from / numbers) + i] = \(name)\(source.id)[b][\((from - start) / numbers) + i];"
        )
        code.close()
      }
      start += source.columns
    }
  }

  // MARK: Products

  struct Factor {
    var shared: SharedTile
    var address: String
    /// Whether the contiguous side is the reduction's.
    var isInnerContiguous: Bool
  }

  func factor(_ tile: Tile, reductionIsColumns: Bool) -> Factor? {
    switch placement.places[tile.id] {
    case .ring(let ring, let slot):
      let shared = rings[ring].slots[slot]
      return Factor(
        shared: shared, address: slotAddress(ring, slot),
        isInnerContiguous: reductionIsColumns != shared.isTransposed)
    default:
      guard let shared = placement.staged[tile.id], let offset = stagedOffsets[tile.id] else { return nil }
      return Factor(shared: shared, address: "shared + \(offset)", isInnerContiguous: reductionIsColumns)
    }
  }

  /// Descriptor at the start of the factor, or some bytes from it.
  mutating func descriptor(_ factor: Factor, offset: String = "") -> String {
    let (shared, isInner) = (factor.shared, factor.isInnerContiguous)
    let name = name("d")
    let strides = "\(shared.leadingBytes(isInner: isInner)), \(shared.strideBytes(isInner: isInner))"
    let make = kernel.schedule.bringsOperands ? "descriptor_here" : "descriptor"
    code.line(
      "const u64 \(name) = \(make)(\(factor.address)\(offset.isEmpty ? "" : " + \(offset)"), \(strides), \(shared.mode));"
    )
    return name
  }

  func chunkOffset(_ factor: Factor, _ c: Int) -> Int {
    factor.shared.chunkOffset(c, isInner: factor.isInnerContiguous)
  }

  private func partOffset(_ factor: Factor, _ width: Int, parts: Int) -> Int? {
    factor.shared.partOffset(width, parts: parts, isInner: factor.isInnerContiguous)
  }

  private func registers(ofSum tile: Tile) -> String {
    placement.narrowSums[tile.id].map { "q\($0.id)" } ?? "t\(tile.id)"
  }

  private mutating func printProduct(_ product: Matmul) {
    if let left = packedLeft(product) { return printPackedProduct(product, left) }
    guard
      case .fragment(let blocks, let columns, let dealsColumns) = placement.places[product.accumulator.id],
      let right = factor(product.right, reductionIsColumns: product.transposesRight)
    else {
      return fail("the result or right factor of a product of \(product.left) is not where it should be")
    }
    guard columns <= 256 else {
      return fail("\(product.accumulator) is wider than 256 columns; use narrower tiles")
    }
    let inner = product.transposesLeft ? product.left.rows : product.left.columns
    guard inner % 16 == 0 || (inner + 15) / 16 * 16 <= right.reductionExtent else {
      return fail("the inner side \(inner) is no multiple of 16")
    }
    let chunks = (inner + 15) / 16
    let inRegisters = placement.isLeftInRegisters(product.left) && !product.transposesLeft
    let left = inRegisters ? nil : factor(product.left, reductionIsColumns: !product.transposesLeft)
    guard inRegisters || left != nil else {
      return fail("the left factor \(product.left) is not where it should be")
    }
    var form = WarpgroupProduct(
      columns: columns, type: product.left.type == .float16 ? "f16" : "bf16", leftInRegisters: inRegisters,
      transposesLeft: left.map { !$0.isInnerContiguous } ?? false, transposesRight: !right.isInnerContiguous,
      starts: false, subtracts: product.subtracting,
      isNarrow: placement.narrowSums[product.accumulator.id] != nil)
    var rightOffset: String?
    if dealsColumns {
      guard let each = partOffset(right, columns, parts: groups) else {
        return fail("\(product.right) cannot be cut at \(columns)")
      }
      rightOffset = "group * \(each)"
    }
    code.open("")
    printSettling()
    let offsets = [rightOffset, settles ? "held" : nil].compactMap(\.self)
    let b = descriptor(right, offset: offsets.joined(separator: " + "))
    var a: [String] = []
    if let left {
      for block in 0..<blocks {
        guard let step = partOffset(left, 64, parts: dealsColumns ? blocks : groups * blocks) else {
          return fail("\(product.left) cannot be cut at 64 rows")
        }
        let offset = dealsColumns ? "\(block * step)" : "(group * \(blocks) + \(block)) * \(step)"
        a.append(descriptor(left, offset: offset))
      }
    }
    code.line("matmul_fence();")
    for chunk in 0..<chunks {
      form.starts = chunk == 0 && !product.continuing
      products.insert(form)
      for block in 0..<blocks {
        let leftOperand =
          left.map { "\(a[block]) + \(chunkOffset($0, chunk) / 16)" }
          ?? "p\(product.left.id)[\(block)][\(chunk)]"
        code.line(
          "\(form.name)(\(registers(ofSum: product.accumulator))[\(block)], \(leftOperand), \(b) + \(chunkOffset(right, chunk) / 16));"
        )
      }
    }
    code.line("matmul_commit();")
    code.close()
  }
}

extension PipelinedLowering.Factor {
  /// Elements along the reduction, padding included.
  fileprivate var reductionExtent: Int { isInnerContiguous ? shared.inner : shared.outer }
}
