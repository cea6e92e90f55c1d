/// Why training cannot begin or go on.
public enum TrainError: Error, Equatable {
  /// The loss is no number any more.
  case diverged(step: Int, loss: Float)
  /// The gradients are no numbers any more, or too large for their norm to be one.
  case gradients(step: Int, loss: Float, norm: Float)
  /// A checkpoint that belongs to another recipe.
  case otherRecipe(file: String, key: String)
  /// Data that are not those a checkpoint's network was trained on.
  case otherData(file: String, checkpoint: String)
  /// A checkpoint that lacks something.
  case notACheckpoint(file: String, missing: String)
  /// Data that a recipe asks for and that are too few or unfit.
  case data(what: String, why: String)
}

extension TrainError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .diverged(let step, let loss):
      "step \(step): the loss is \(loss.inWords). Training stopped; its folder is as it was after the last evaluation. Lower the rate or "
        + "clip gradients."
    case .gradients(let step, let loss, let norm):
      "step \(step): the loss is \(loss.inWords), and the norm of its gradients \(norm.inWords). Training stopped; its folder is as it was "
        + "after the last evaluation. Lower the rate."
    case .otherRecipe(let file, let key):
      "\(file) was trained by a recipe with another \(key). Resume with its own recipe, or train into another folder."
    case .otherData(let file, let checkpoint):
      "\(file) is not as it was when \(checkpoint) was trained on it: what is judged may have been learned from. Bring the old file "
        + "back, or train anew."
    case .notACheckpoint(let file, let missing):
      "\(file) has no \(missing): it is no checkpoint of this program. Name a file that `godwit train` wrote."
    case .data(let what, let why): "\(what): \(why)."
    }
  }
}

extension Float {
  fileprivate var inWords: String { isNaN ? "not a number" : "\(self)" }
}
