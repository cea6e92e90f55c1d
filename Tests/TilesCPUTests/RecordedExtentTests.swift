import Testing
import Tiles

/// Extents of a kernel are those of its tensors, each recorded once.
@Suite struct RecordedExtentTests {
  private func message(_ record: (Recorder) -> Void) -> String {
    do {
      _ = try Kernel("extents", record)
      return ""
    } catch { return "\(error)" }
  }

  private func copy(_ k: Recorder, _ length: Index, tasks: Index) {
    let (x, y) = (k.input("x", .float32, [length]), k.output("y", .float32, [length]))
    k.grid([tasks]) { task in k.store(k.load(x, at: [task[0] * 8], columns: 8), to: y, at: [task[0] * 8]) }
  }

  @Test func namesAreRecordedOnce() {
    let twice = message { k in
      let length = k.extent("L")
      copy(k, k.extent("L"), tasks: length.ceilDiv(8))
    }
    #expect(
      twice.contains("L") && twice.contains("recorded already") && twice.contains("RecordedExtentTests"))
    let both = message { k in copy(k, k.extent("L"), tasks: k.argument("L")) }
    #expect(both.contains("recorded already"))
    let arguments = message { k in copy(k, k.extent("L"), tasks: k.argument("T") + k.argument("T")) }
    #expect(arguments.contains("T") && arguments.contains("recorded already"))
  }

  @Test func anExtentIsThatOfATensor() {
    let lost = message { k in
      let tasks = k.extent("T")
      copy(k, k.extent("L"), tasks: tasks)
    }
    #expect(lost.contains("T") && lost.contains("no tensor has that extent"))
    #expect(lost.contains("RecordedExtentTests.swift:"))
    // One more than a number is not that number.
    let more = message { k in
      let length = k.extent("L")
      copy(k, length + 1, tasks: length)
    }
    #expect(more.contains("no tensor has that extent"))
    #expect(message { k in copy(k, k.extent("L"), tasks: k.argument("T")) } == "")
  }
}
