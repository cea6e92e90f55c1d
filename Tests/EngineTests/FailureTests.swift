import Engine
import Models
import Testing

@Suite struct FailureTests {
  /// Requests of the usual tree; one of them holds the token whose embedding is not a number.
  private static func requests(spoilt: Int32, at place: Int) -> [GenerationRequest] {
    var requests = GeneratorTests.requests
    requests[4].prompt[place] = spoilt
    return requests
  }

  /// Tokens and failures of requests run together.
  private static func outcome(
    _ requests: [GenerationRequest], _ generator: Generator
  ) throws -> (tokens: [[Int32]], failures: [Int: EngineError]) {
    for request in requests { _ = try generator.submit(request) }
    var tokens = [[Int32]](repeating: [], count: requests.count)
    var failures: [Int: EngineError] = [:]
    while !generator.isIdle {
      for event in try generator.step() {
        switch event {
        case .token(let request, let choice): tokens[request].append(choice.token)
        case .failed(let request, let error): failures[request] = error
        case .started, .finished: break
        }
      }
    }
    return (tokens, failures)
  }

  /// A NaN reaches the end of its own sequence and no other, whether pages are shared, scarce or used again.
  @Test(arguments: [(3, 400), (230, 400), (3, 9), (320, 10)])
  func oneNaNEndsOneRequest(place: Int, pages: Int) throws {
    let alone = try GeneratorTests.alone()
    // Prompts hold ids below 290 only; one that no answer holds either spoils nothing but the request it is put in.
    let spoilt = try #require((290..<300).first { !alone.joined().contains($0) })
    let model = try tinyModel(spoilt: Int(spoilt))
    let requests = Self.requests(spoilt: spoilt, at: place)
    for mode in SharingMode.allCases {
      var options = Generator.Options()
      options.sharing = mode
      options.cacheBytes = pages * model.cacheGeometry.pageBytes
      let generator = try Generator(model, options: options)
      let (tokens, failures) = try Self.outcome(requests, generator)
      #expect(failures == [4: .notANumber(position: requests[4].prompt.count)])
      for number in requests.indices {
        #expect(tokens[number] == (number == 4 ? [] : alone[number]), "request \(number), \(mode)")
      }
      #expect(generator.pages.used == 0)
    }
  }
}

@Suite struct PrefixReuseTests {
  private func tokens(_ count: Int, _ seed: Int = 0) -> [Int32] {
    (0..<count).map { Int32(($0 * 7 + seed) % 290) }
  }

  /// What each prompt, run after those before it, finds in the cache.
  private func reuses(
    _ prompts: [[Int32]], change: (inout Generator.Options) -> Void = { _ in }
  ) throws -> [PrefixReuse] {
    let model = try tinyModel()
    var options = Generator.Options()
    options.cacheBytes = 8 * model.cacheGeometry.pageBytes
    change(&options)
    let generator = try Generator(model, options: options)
    var found: [PrefixReuse] = []
    for prompt in prompts {
      _ = try generator.submit(GenerationRequest(prompt: prompt, maximumTokens: 1))
      while !generator.isIdle {
        for event in try generator.step() { if case .started(_, let reuse) = event { found.append(reuse) } }
      }
    }
    return found
  }

  @Test func reasonsAreNamed() throws {
    let document = tokens(200)
    var other = document
    other[130] = 289
    let found = try reuses([
      document, document, other, tokens(200, 1), document + tokens(100), Array(document.prefix(128)),
    ])
    #expect(found.map(\.reusedTokens) == [0, 192, 128, 0, 192, 64])
    #expect(
      found.map(\.end) == [
        .nothingCached, .complete, .diverges(at: 130), .nothingCached, .endsCached(at: 192), .complete,
      ])
    #expect(found[2].end.description == "diverges at token 130")
  }

  @Test func divergenceInTheFirstPageAndEviction() throws {
    let document = tokens(200)
    var near = document
    near[5] = 289
    // Eight pages: the third prompt drives the first one's pages out.
    let found = try reuses([document, near, tokens(500, 3), document])
    #expect(found[1] == PrefixReuse(promptTokens: 200, reusedTokens: 0, end: .diverges(at: 5)))
    #expect(found[3] == PrefixReuse(promptTokens: 200, reusedTokens: 0, end: .evicted(from: 0)))
    let off = try reuses([document, document]) { $0.reusesPrefixes = false }
    #expect(off.map(\.end) == [.disabled, .disabled])
  }
}
