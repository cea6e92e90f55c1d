internal import Tiles

/// What the body of a kernel does for some tasks when its statements run one after the other: the meaning that role
/// programs must keep.
///
/// Each execution of a statement has a number, and the tiles it writes hold that number afterwards. A role that reads a
/// tile must find the number that program order gives, whatever runs beside it.
struct ProgramOrder {
  /// One execution of a statement.
  struct Execution {
    let statement: Statement
    let moment: Moment
    /// Which execution wrote what each tile read holds, by tile.
    let reads: [Int: Int]
  }

  private(set) var executions: [Execution] = []
  private var byKey: [Key: [Int]] = [:]
  /// Who wrote each tile last in the task that is recorded.
  private var writers: [Int: Int] = [:]

  private struct Key: Hashable {
    let operation: Operation
    let moment: Moment
  }

  /// Records `body` for each task.
  init(_ body: [Statement], tasks: [[Int]], scope: RunScope) {
    var scope = scope
    for (ordinal, task) in tasks.enumerated() {
      (scope.ordinal, scope.task, scope.steps) = (ordinal, task, [:])
      writers = [:]
      record(body, scope)
    }
  }

  private mutating func record(_ statements: [Statement], _ scope: RunScope) {
    for statement in statements {
      switch statement.operation {
      case .loop(let step, let count, _, let load, let body):
        var inner = scope
        for value in 0..<max(0, scope.value(count) ?? 0) {
          inner.steps[step] = value
          record(load, inner)
          record(body, inner)
        }
      case .when(let lower, let upper, let body):
        if let lower = scope.value(lower), let upper = scope.value(upper), lower < upper {
          record(body, scope)
        }
      default: execute(statement, at: scope.moment)
      }
    }
  }

  private mutating func execute(_ statement: Statement, at moment: Moment) {
    var reads: [Int: Int] = [:]
    for tile in statement.operation.tilesRead { reads[tile.id] = writers[tile.id] }
    let number = executions.count
    executions.append(Execution(statement: statement, moment: moment, reads: reads))
    byKey[Key(operation: statement.operation, moment: moment), default: []].append(number)
    for tile in statement.operation.tilesWritten { writers[tile.id] = number }
    if case .load(let tile, _) = statement.operation { writers[tile.id] = number }
  }

  /// Executions of an operation at a moment, in order: more than one where a body repeats itself.
  func executions(of operation: Operation, at moment: Moment) -> [Int] {
    byKey[Key(operation: operation, moment: moment)] ?? []
  }

  /// What a tile holds, for messages.
  func describe(_ number: Int?) -> String {
    guard let number, executions.indices.contains(number) else { return "nothing" }
    let execution = executions[number]
    return "what \(execution.statement.location) wrote at \(execution.moment)"
  }
}
