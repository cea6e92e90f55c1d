extension Worker {
  /// Lets tile `target` look at a window: where the tensor has all of it, otherwise at a copy with zeros around.
  func window(_ plan: WindowPlan, to target: Int) {
    let view = unsafe tiles[plan.view]
    let (origin, extent) = unsafe (integers[plan.origin], integers[plan.extent])
    let count = plan.isAlongRows ? view.rows : view.columns
    let inside = max(0, -origin)..<max(max(0, -origin), min(count, extent - origin))
    guard inside.count < count else {
      unsafe tiles[target] = view
      return
    }
    var copy = unsafe tiles[plan.copy]
    (copy.rows, copy.columns) = (view.rows, view.columns)
    let rows = plan.isAlongRows ? inside : 0..<view.rows
    let columns = plan.isAlongRows ? 0..<view.columns : inside
    for row in 0..<view.rows {
      let to = unsafe copy.base + row * copy.rowStride * plan.bytes
      if !rows.contains(row) || columns.count < view.columns {
        unsafe to.initializeMemory(as: UInt8.self, repeating: 0, count: view.columns * plan.bytes)
      }
      guard rows.contains(row) else { continue }
      let from =
        unsafe view.base + (row * view.rowStride + columns.lowerBound * view.columnStride) * plan.bytes
      let start = unsafe to + columns.lowerBound * plan.bytes
      if view.columnStride == 1 {
        unsafe start.copyMemory(from: from, byteCount: columns.count * plan.bytes)
      } else {
        for column in 0..<columns.count {
          unsafe (start + column * plan.bytes).copyMemory(
            from: from + column * view.columnStride * plan.bytes, byteCount: plan.bytes)
        }
      }
    }
    unsafe tiles[target] = copy
  }
}
