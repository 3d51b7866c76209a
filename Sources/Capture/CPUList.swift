import TraceModel

/// Sets of CPUs as the kernel writes them, `0-3,5` (Documentation/admin-guide/cputopology.rst).
package enum CPUList {
    /// The numbers in ascending order; nil when the text is no such list, or names more CPUs than any kernel has.
    package static func parse(_ text: String) -> [Int]? {
        let line = text.last == "\n" ? text.dropLast() : Substring(text)
        if line.isEmpty { return [] }
        var cpus: Set<Int> = []
        for part in line.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { number($0) }
            guard ends.count <= 2, let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last else {
                return nil
            }
            cpus.formUnion(first...last)
        }
        return cpus.sorted()
    }

    /// The CPUs that run; nil where sysfs does not tell.
    package static func online() -> [Int]? {
        guard let text = try? KernelFile.read("/sys/devices/system/cpu/online") else { return nil }
        return parse(text)
    }

    private static func number(_ text: Substring) -> Int? {
        guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let value = Int(text),
            value < Limits.cpus
        else { return nil }
        return value
    }
}
