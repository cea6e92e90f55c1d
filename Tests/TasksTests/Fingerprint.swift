/// FNV-1a of 64 bits over the bytes of numbers, lowest byte first.
func fingerprint(_ numbers: some Sequence<UInt32>) -> UInt64 {
  var hash: UInt64 = 0xCBF2_9CE4_8422_2325
  for number in numbers {
    for byte in 0..<4 {
      hash = (hash ^ UInt64(number >> (8 * UInt32(byte)) & 255)) &* 0x0000_0100_0000_01B3
    }
  }
  return hash
}

func fingerprint(_ numbers: [Int32]) -> UInt64 { fingerprint(numbers.lazy.map(UInt32.init(bitPattern:))) }

func fingerprint(_ numbers: [Float]) -> UInt64 { fingerprint(numbers.lazy.map(\.bitPattern)) }
