/// Which parts of a device's slabs of memory are in use: pure bookkeeping, without a device.
///
/// Blocks are cut from the smallest free block that holds them, and join their free neighbours when they are given
/// back. A slab is one allocation of the driver.
struct MemoryLedger {
  /// Blocks begin and end at multiples of this many bytes; tensor maps and wide loads ask for less.
  static let granule = 512
  /// Most bytes that slabs may take in all.
  let cap: Int
  /// Bytes of a slab for small blocks.
  let slabBytes: Int
  /// Bytes of blocks in use.
  private(set) var used = 0
  /// Bytes of all slabs.
  private(set) var reserved = 0

  private struct Block {
    var bytes: Int
    var isFree: Bool
    /// Start of the block before it in its slab.
    var previous: UInt64?
    /// End of its slab.
    var slabEnd: UInt64
  }

  private struct FreeBlock: Comparable {
    var bytes: Int
    var address: UInt64
    static func < (a: FreeBlock, b: FreeBlock) -> Bool { (a.bytes, a.address) < (b.bytes, b.address) }
  }

  private var blocks: [UInt64: Block] = [:]
  private var slabs: [UInt64: Int] = [:]
  /// Sorted by size, then address.
  private var free: [FreeBlock] = []

  init(cap: Int, slabBytes: Int = 64 << 20) {
    self.cap = cap
    self.slabBytes = slabBytes
  }

  /// Bytes that a block for so many takes.
  static func rounded(_ bytes: Int) -> Int { (max(1, bytes) + granule - 1) / granule * granule }

  /// Takes a block of `bytes`, a multiple of the granule, from the slabs there are.
  mutating func take(_ bytes: Int) -> UInt64? {
    let place = firstFree(FreeBlock(bytes: bytes, address: 0))
    guard place < free.count else { return nil }
    let found = free.remove(at: place)
    guard var block = blocks[found.address] else { return nil }
    if block.bytes > bytes {
      let rest = found.address + UInt64(bytes)
      let remainder = Block(
        bytes: block.bytes - bytes, isFree: true, previous: found.address, slabEnd: block.slabEnd)
      let next = rest + UInt64(remainder.bytes)
      if next < block.slabEnd { blocks[next]?.previous = rest }
      blocks[rest] = remainder
      addFree(FreeBlock(bytes: remainder.bytes, address: rest))
    }
    block.bytes = bytes
    block.isFree = false
    blocks[found.address] = block
    used += bytes
    return found.address
  }

  /// Gives back a block.
  ///
  /// - Precondition: it was taken and not given back since.
  mutating func give(_ address: UInt64) {
    guard var block = blocks[address], !block.isFree else {
      preconditionFailure("a block of device memory was given back twice")
    }
    var start = address
    used -= block.bytes
    let next = address + UInt64(block.bytes)
    if next < block.slabEnd, let after = blocks[next], after.isFree {
      removeFree(FreeBlock(bytes: after.bytes, address: next))
      blocks[next] = nil
      block.bytes += after.bytes
    }
    if let previous = block.previous, let before = blocks[previous], before.isFree {
      removeFree(FreeBlock(bytes: before.bytes, address: previous))
      blocks[start] = nil
      start = previous
      block.bytes += before.bytes
      block.previous = before.previous
    }
    block.isFree = true
    blocks[start] = block
    let end = start + UInt64(block.bytes)
    if end < block.slabEnd { blocks[end]?.previous = start }
    addFree(FreeBlock(bytes: block.bytes, address: start))
  }

  /// Bytes that a new slab for a block of `bytes` should have; `nil` where the cap leaves no room.
  func slabSize(for bytes: Int) -> Int? {
    let left = (cap - reserved) / Self.granule * Self.granule
    guard bytes <= left else { return nil }
    // Large blocks get a slab of their own, which can go back to the driver as soon as they do.
    return min(left, bytes >= slabBytes / 2 ? bytes : slabBytes)
  }

  /// Adds a slab that the driver gave.
  mutating func addSlab(_ address: UInt64, bytes: Int) {
    slabs[address] = bytes
    reserved += bytes
    blocks[address] = Block(bytes: bytes, isFree: true, previous: nil, slabEnd: address + UInt64(bytes))
    addFree(FreeBlock(bytes: bytes, address: address))
  }

  /// Forgets the slabs of which nothing is in use; the caller returns them to the driver.
  mutating func removeIdleSlabs() -> [UInt64] {
    let idle = slabs.filter { address, bytes in
      blocks[address].map { $0.isFree && $0.bytes == bytes } ?? false
    }
    for (address, bytes) in idle {
      removeFree(FreeBlock(bytes: bytes, address: address))
      blocks[address] = nil
      slabs[address] = nil
      reserved -= bytes
    }
    return idle.keys.sorted()
  }

  /// Place of the first free block not below `wanted`.
  private func firstFree(_ wanted: FreeBlock) -> Int {
    var (low, high) = (0, free.count)
    while low < high {
      let middle = (low + high) / 2
      if free[middle] < wanted { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private mutating func addFree(_ block: FreeBlock) { free.insert(block, at: firstFree(block)) }

  private mutating func removeFree(_ block: FreeBlock) {
    let place = firstFree(block)
    precondition(place < free.count && free[place] == block, "the list of free device memory is damaged")
    free.remove(at: place)
  }
}
