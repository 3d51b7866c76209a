/// The one search in sorted arrays.
extension Array {
    /// The first place whose element does not satisfy `isBefore`, given that all that do come first.
    package func partitionPoint(_ isBefore: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isBefore(self[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
