import Engine
import Memory
import Models
import TestSupport
import Testing
import Tiles

/// A stand-in for a network: it keeps the tokens themselves in its pages and reads a row's history back by walking the
/// work list, so a wrong page, order, phase or stale slot changes the answer.
final class HistoryModel: LanguageModel {
  let vocabularySize = 97
  let contextLength = 1500
  let queryGroup = 3
  let cacheGeometry = PagedCache.Geometry(layers: 1, kvHeads: 1, headSize: 1, type: .float32)
  let slidingWindow: Int? = nil
  let attentionFactor = ElementType.float32
  let stepWeightBytes = 0
  let executor: any Executor = ReferenceExecutor<Float>()
  private var slots: [Int32]

  init(pages: Int) { slots = [Int32](repeating: -1, count: pages * 64) }

  static func next(_ history: [Int32]) -> Int32 {
    var hash: UInt64 = 14_695_981_039_346_656_037
    for token in history { hash = (hash ^ UInt64(UInt32(bitPattern: token))) &* 1_099_511_628_211 }
    return Int32((hash >> 33) % 97)
  }

  func forward(_ batch: ForwardBatch, cache: PagedCache) throws -> Tensor {
    for run in stride(from: 0, to: batch.runs.count, by: 4) {
      for offset in 0..<batch.runs[run + 1] {
        slots[Int(batch.runs[run + 2] * 64 + batch.runs[run + 3] + offset)] =
          batch.tokens[Int(batch.runs[run] + offset)]
      }
    }
    let states = try visits(batch, group: queryGroup)
    let logits = try Tensor(zeros: .float32, [batch.logitRows.count, vocabularySize])
    for (place, row) in batch.logitRows.enumerated() {
      let position = Int(batch.positions[Int(row)])
      var history: [Int32] = []
      for chunk in 0...(position / 512) {
        for (page, first) in try #require(states[Int(row)][chunk]) {
          for slot in 0..<64 where first + slot <= position { history.append(slots[Int(page) * 64 + slot]) }
        }
      }
      #expect(history.count == position + 1)
      let wanted = Int(Self.next(history))
      logits.withMutableElements(as: Float.self) { span in
        span[place * vocabularySize + wanted] = 5
      }
    }
    return logits
  }
}

@Suite struct ScheduleTests {
  /// What the model continues a prompt with.
  static func continuation(_ request: GenerationRequest) -> [Int32] {
    var tokens = request.prompt
    while tokens.count < request.prompt.count + request.maximumTokens {
      let next = HistoryModel.next(tokens)
      if request.stopTokens.contains(next) { break }
      tokens.append(next)
    }
    return Array(tokens.dropFirst(request.prompt.count))
  }

  static func requests(_ generator: inout SeededGenerator, count: Int) -> [GenerationRequest] {
    let documents = (0..<3).map { document in
      (0..<[130, 256, 600][document]).map { _ in Int32.random(in: 0..<97, using: &generator) }
    }
    return (0..<count).map { _ in
      let document = documents[Int.random(in: 0...2, using: &generator)]
      let shared = document.prefix([document.count, 128, 65][Int.random(in: 0...2, using: &generator)])
      let own = (0..<[0, 1, 63, 64, 65, 150][Int.random(in: 0...5, using: &generator)]).map { _ in
        Int32.random(in: 0..<97, using: &generator)
      }
      var request = GenerationRequest(
        prompt: shared + own, maximumTokens: Int.random(in: 1...140, using: &generator))
      if Bool.random(using: &generator) { request.stopTokens = [3, 50] }
      request.salt = Int.random(in: 0...3, using: &generator) == 0 ? 1 : 0
      return request
    }
  }

  @Test(arguments: Array(0..<60 as Range<UInt64>))
  func randomLoadsGiveEveryRequestItsOwnTokens(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let requests = Self.requests(&random, count: Int.random(in: 1...40, using: &random))
    // 890 tokens at most: 14 pages are the least that every request can be served in.
    let pages = [14, 15, 20, 40, 400][Int(seed % 5)]
    let model = HistoryModel(pages: pages)
    var options = Generator.Options()
    options.cacheBytes = pages * model.cacheGeometry.pageBytes
    options.stepTokens = [1, 17, 64, 256][Int.random(in: 0...3, using: &random)]
    options.maximumSequences = [1, 4, 64][Int.random(in: 0...2, using: &random)]
    options.sharing = SharingMode.allCases[Int.random(in: 0...2, using: &random)]
    options.reusesPrefixes = seed % 7 != 0
    let generator = try Generator(model, options: options)
    var tokens: [Int: [Int32]] = [:]
    var reasons: [Int: FinishReason] = [:]
    var started: [Int: PrefixReuse] = [:]
    var cancelled: Set<Int> = []
    var queue = requests[...]
    var steps = 0
    while !queue.isEmpty || !generator.isIdle {
      if let request = queue.first, generator.isIdle || Int.random(in: 0...2, using: &random) == 0 {
        tokens[try generator.submit(request)] = []
        queue.removeFirst()
      }
      if Int.random(in: 0...99, using: &random) == 0, let victim = tokens.keys.sorted().last,
        reasons[victim] == nil
      {
        generator.cancel(victim)
        cancelled.insert(victim)
      }
      for event in try generator.step() {
        switch event {
        case .token(let number, let choice): tokens[number]?.append(choice.token)
        case .finished(let number, let reason): reasons[number] = reason
        case .started(let number, let reuse): #expect(started.updateValue(reuse, forKey: number) == nil)
        case .failed(_, let error): Issue.record("\(error)")
        }
      }
      #expect(generator.pages.used <= generator.pages.total)
      steps += 1
      try #require(steps < 60_000, "the schedule makes no progress")
    }
    for (number, request) in requests.enumerated() where !cancelled.contains(number) {
      let expected = Self.continuation(request)
      #expect(tokens[number] == expected)
      #expect(reasons[number] == (expected.count < request.maximumTokens ? .stop : .length))
      #expect(started[number]?.promptTokens == request.prompt.count)
    }
    #expect(generator.pages.used == 0)
    #expect(generator.statistics.peakSequences <= options.maximumSequences)
  }

  @Test func promptCountersDoNotCountRecomputation() throws {
    let model = HistoryModel(pages: 14)
    var options = Generator.Options()
    options.cacheBytes = 14 * model.cacheGeometry.pageBytes
    let generator = try Generator(model, options: options)
    var random = SeededGenerator(seed: 4)
    let requests = Self.requests(&random, count: 30)
    _ = try run(requests, generator)
    let prompts = requests.reduce(0) { $0 + $1.prompt.count }
    let statistics = generator.statistics
    #expect(statistics.preemptions > 0)
    #expect(statistics.promptTokensComputed + statistics.promptTokensReused == prompts)
  }
}

@Suite struct PrefixTreeTests {
  @Test(arguments: Array(0..<50 as Range<UInt64>)) func countsEndAtZero(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var tree = PrefixTree()
    var pool = PagePool(capacity: 30)
    // Pages of one repeated token: few kinds, so paths meet and part.
    func tokens(_ kinds: [Int]) -> [Int32] { kinds.flatMap { [Int32](repeating: Int32($0), count: 64) } }
    var known: Set<[Int]> = []
    var running: [(kinds: [Int], path: [PrefixTree.Node])] = []
    for _ in 0..<400 {
      if Bool.random(using: &random) || running.isEmpty {
        let kinds = (0..<Int.random(in: 0...5, using: &random)).map { _ in
          Int.random(in: 0...2, using: &random)
        }
        let salt = kinds.count % 2
        var path = tree.match(tokens(kinds) + [0], salt: salt)
        let longest = (0...kinds.count).last { $0 == 0 || known.contains([salt] + kinds.prefix($0)) } ?? 0
        #expect(path.count == longest)
        tree.retain(path)
        while path.count < kinds.count {
          if pool.available == 0 {
            guard let page = tree.evict() else { break }
            pool.give(page)
            known = known.filter { key in
              tree.match(tokens(Array(key.dropFirst())) + [0], salt: key[0]).count == key.count - 1
            }
          }
          guard let page = pool.take() else { break }
          let (node, isNew) = tree.insert(
            tokens([kinds[path.count]]), page: page, under: path.last ?? 0, salt: salt)
          #expect(isNew && tree.page(of: node) == page)
          tree.retain([node])
          path.append(node)
          known.insert([salt] + kinds.prefix(path.count))
        }
        running.append((kinds, path))
      } else {
        tree.release(running.remove(at: Int.random(in: 0..<running.count, using: &random)).path)
      }
      #expect(tree.pageCount == known.count && tree.pageCount + pool.available == 30)
      let used = Set(running.flatMap(\.path))
      #expect(tree.evictable == tree.pageCount - used.count)
      for node in used { #expect(tree.active(node) == running.filter { $0.path.contains(node) }.count) }
    }
    for sequence in running { tree.release(sequence.path) }
    while let page = tree.evict() { pool.give(page) }
    #expect(pool.available == 30 && tree.pageCount == 0)
  }
}
