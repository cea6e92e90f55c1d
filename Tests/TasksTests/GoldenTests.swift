import Memory
import Testing

@testable import Tasks

/// Hashes of what the generators gave when they were written: a change of any of them changes every run that used it.
@Suite struct GoldenTests {
  @Test func tokensStayWhatTheyWere() throws {
    let golden: [UInt64] = [
      0x4174_8BB2_2955_A3BD, 0xD588_B26D_A177_9FED, 0x1A74_A005_23A0_3900, 0x35DC_F9CF_7236_D65B,
      0xE022_5B93_B495_9835, 0x1BE7_07E7_DD27_5D2F, 0x73D5_955F_88C3_567D, 0xDB24_15BC_E71B_2B1F,
      0x348D_9E2D_ECB2_0035, 0x9F13_7080_FB54_061D, 0x6942_BFE7_DD61_B266, 0xE555_203A_F5AE_4B55,
    ]
    let tasks = try TokenTaskTests.tasks()
    #expect(tasks.count == golden.count)
    for (task, expected) in zip(tasks, golden) {
      let examples = try task.examples(100, seed: 1, scored: .all)
      let hash = fingerprint(examples.inputs + examples.targets)
      #expect(hash == expected, "\(task): 0x\(String(hash, radix: 16))")
    }
  }

  @Test func numbersStayWhatTheyWere() throws {
    let examples = try LinearFunctions().examples(100, seed: 1)
    #expect(fingerprint(examples.inputs + examples.targets) == 0x21A5_1D82_FCFF_3EBB)
  }

  @Test func expressionsStayWhatTheyWere() throws {
    let examples = try ListOps().examples(100, seed: 1)
    #expect(fingerprint(examples.inputs + examples.labels) == 0xFFEE_CFDD_C033_0B5A)
  }

  @Test(arguments: [
    (32, 100, 0xC9CE_DC51_1872_16C5 as UInt64), (64, 2, 0xEA15_25BF_439D_0B58),
    (128, 3, 0x28AB_6B2B_C5B0_FC9B),
    (256, 10, 0x5C81_03A2_28B1_591B), (512, 2, 0x5A05_E6AC_981F_3EF8),
  ])
  func picturesStayWhatTheyWere(size: Int, count: Int, expected: UInt64) throws {
    let examples = try Pathfinder(size: size).examples(count, seed: 1)
    let hash = fingerprint(examples.inputs + examples.labels.map(Float.init))
    #expect(hash == expected, "0x\(String(hash, radix: 16))")
  }
}
