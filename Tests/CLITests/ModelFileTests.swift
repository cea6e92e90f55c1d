import Foundation
import TestSupport
import Testing

@testable import CLI

/// Files that claim sizes which overflow: each is an error or a number, never a trap.
@Suite struct ModelFileTests {
  private func file(_ name: String, _ base64: String) throws -> String {
    let path = Scratch.path(name)
    try #require(Data(base64Encoded: base64, options: .ignoreUnknownCharacters)).write(
      to: URL(fileURLWithPath: path))
    return path
  }

  /// Two tensors of 2⁶² numbers of types that no reader knows, and an architecture without settings.
  private static let unknownTypes = """
    R0dVRgMAAAACAAAAAAAAAAEAAAAAAAAAFAAAAAAAAABnZW5lcmFsLmFyY2hpdGVjdHVyZQgAAAAFAAAAAAAAAGxsYW1hAQAAAAAA
    AABhAgAAAAAAAAAAAQAAAABAAAAAAADIAAAAAAAAAAAAAAABAAAAAAAAAGICAAAAAAAAAAABAAAAAEAAAAAAAMkAAAAgAAAAAAAA
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
    """

  /// Loaded by whatever runs models by default: sizes decide whether a GPU does.
  @Test func tensorsOfUnknownTypesHaveNoSize() throws {
    let options = try ModelOptions.parse(["--model", file("model.gguf", Self.unknownTypes)])
    let text = message { _ = try options.load() }
    #expect(text.contains("llama.block_count is missing"), "\(text)")
  }

  @Test func sizesStayAtTheLargestNumber() {
    #expect(Sizes.sum([1, 2, 3]) == 6 && Sizes.sum([]) == 0)
    #expect(Sizes.sum([.max, 1]) == .max && Sizes.sum([1, .max, .max]) == .max)
    #expect(Sizes.product([2, 3, 4]) == 24 && Sizes.product([]) == 1)
    #expect(Sizes.product([1 << 62, 2]) == .max && Sizes.product([1 << 62, 1 << 62, 0]) == 0)
  }

  /// Two tensors of 2⁶⁰ float32, all of them one number.
  private static let views = """
    UEsDBBQAAAAAAJd8fV19FP+hHgEAAB4BAAAKAAAAYS9kYXRhLnBrbIACfShYAgAAAHQwY3RvcmNoLl91dGlscwpfcmVidWlsZF90
    ZW5zb3JfdjIKKChYBwAAAHN0b3JhZ2VjdG9yY2gKRmxvYXRTdG9yYWdlClgBAAAAMFgDAAAAY3B1SwJ0UUsAKIoIAAAAAAAAABB0
    KEsAdIljY29sbGVjdGlvbnMKT3JkZXJlZERpY3QKKVJ0UlgCAAAAdDFjdG9yY2guX3V0aWxzCl9yZWJ1aWxkX3RlbnNvcl92Mgoo
    KFgHAAAAc3RvcmFnZWN0b3JjaApGbG9hdFN0b3JhZ2UKWAEAAAAwWAMAAABjcHVLAnRRSwEoiggAAAAAAAAAEHQoSwB0iWNjb2xs
    ZWN0aW9ucwpPcmRlcmVkRGljdAopUnRSdS5QSwMEFAAAAAAAl3x9XdGeZ1UCAAAAAgAAAAkAAABhL3ZlcnNpb24zClBLAwQUAAAA
    AACXfH1dad8iZQgAAAAIAAAACAAAAGEvZGF0YS8wAAAAAAAAAABQSwECFAMUAAAAAACXfH1dfRT/oR4BAAAeAQAACgAAAAAAAAAA
    AAAAgAEAAAAAYS9kYXRhLnBrbFBLAQIUAxQAAAAAAJd8fV3RnmdVAgAAAAIAAAAJAAAAAAAAAAAAAACAAUYBAABhL3ZlcnNpb25Q
    SwECFAMUAAAAAACXfH1dad8iZQgAAAAIAAAACAAAAAAAAAAAAAAAgAFvAQAAYS9kYXRhLzBQSwUGAAAAAAMAAwClAAAAnQEAAAAA
    """

  @Test(arguments: [[], ["--json"], ["--tensors"]]) func viewsOfOneNumberAreListed(options: [String]) throws {
    try InspectCommand.parse([file("views.pt", Self.views)] + options).run()
  }

  @Test func namesCannotSteerTheTerminal() {
    #expect(Output.visible("layers.0.größe 𝔸") == "layers.0.größe 𝔸")
    #expect(Output.visible("a\u{1B}[31m\r\n\u{9B}b\u{202E}") == #"a\u{1B}[31m\u{D}\u{A}\u{9B}b\u{202E}"#)
  }
}
