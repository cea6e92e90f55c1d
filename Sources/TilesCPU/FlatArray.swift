/// A fixed array whose address never changes, so that workers can hold it as a plain pointer.
@safe final class FlatArray<Element: BitwiseCopyable> {
  let base: UnsafePointer<Element>
  let count: Int

  init(_ elements: [Element]) {
    count = elements.count
    let memory = UnsafeMutablePointer<Element>.allocate(capacity: max(1, elements.count))
    for (position, element) in elements.enumerated() {
      unsafe (memory + position).initialize(to: element)
    }
    unsafe base = UnsafePointer(memory)
  }

  deinit { unsafe base.deallocate() }
}
