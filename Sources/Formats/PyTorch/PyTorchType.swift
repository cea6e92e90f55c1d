public import Memory

/// What a tensor's numbers in a PyTorch file are.
///
/// Types without ``elementType`` can be listed but not computed with.
public struct PyTorchType: Sendable, Hashable {
  /// PyTorch's name, such as `bfloat16`.
  public let name: String
  /// Bytes of one number.
  public let byteCount: Int
  /// The type as tensors have it; `nil` when it is not supported.
  public let elementType: ElementType?

  /// `nil` for a name that PyTorch does not define or that has no fixed size.
  init?(name: String) {
    guard let known = Self.known[name] else { return nil }
    self.name = name
    byteCount = known.bytes
    elementType = known.type
  }

  /// The type of a class of storages, such as `FloatStorage`.
  init?(storage: String) {
    guard let name = Self.storages[storage] else { return nil }
    self.init(name: name)
  }

  private static let known: [String: (bytes: Int, type: ElementType?)] = [
    "float64": (8, .float64), "float32": (4, .float32), "float16": (2, .float16),
    "bfloat16": (2, .bfloat16), "int64": (8, .int64), "int32": (4, .int32), "int16": (2, .int16),
    "int8": (1, .int8), "uint8": (1, .uint8), "bool": (1, .boolean),
    "uint16": (2, nil), "uint32": (4, nil), "uint64": (8, nil), "complex32": (4, nil), "complex64": (8, nil),
    "complex128": (16, nil), "float8_e4m3fn": (1, nil), "float8_e5m2": (1, nil),
    "float8_e4m3fnuz": (1, nil), "float8_e5m2fnuz": (1, nil), "float8_e8m0fnu": (1, nil),
  ]

  private static let storages = [
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16",
    "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
  ]
}
