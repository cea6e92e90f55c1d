/// The 128-bit hash FNV-1a: for names of cached files and against damaged ones, not against attackers.
struct ContentHash: Hashable {
  private(set) var value: UInt128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d

  /// Takes in bytes.
  mutating func add(_ bytes: some Sequence<UInt8>) {
    // 2⁸⁸ + 2⁸ + 0x3b
    let prime: UInt128 = (1 << 88) + 0x13b
    for byte in bytes { value = (value ^ UInt128(byte)) &* prime }
  }

  /// Takes in a text and its end, so that two texts do not run together.
  mutating func add(_ text: String) {
    add(text.utf8)
    add(CollectionOfOne(0xFF))
  }

  /// 32 digits.
  var text: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 32 - digits.count) + digits
  }

  /// 16 bytes, the highest first.
  var bytes: [UInt8] { (0..<16).map { UInt8(truncatingIfNeeded: value >> UInt128(120 - 8 * $0)) } }
}
