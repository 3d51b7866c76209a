import CBabeltrace2
import TraceModel

/// Why a CTF trace could not be read, followed or written, in one readable message.
package struct CTFError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }

    /// What was being done, and what libbabeltrace2 says about it.
    ///
    /// The library keeps a chain of causes per thread, the outermost last: "cannot add component", "cannot create
    /// streams", "no such file". The two ends of it say all: what failed, and why. Taking the chain also clears it, and
    /// an error that nobody takes would make the library refuse the thread's next call.
    static func library(_ doing: String) -> CTFError {
        let causes = takeCauses()
        guard let root = causes.first else { return CTFError("\(doing) failed; libbabeltrace2 gives no reason") }
        return CTFError("\(doing) failed: \(root)")
    }

    /// The innermost causes first, duplicates left out.
    private static func takeCauses() -> [String] {
        guard let error = bt_current_thread_take_error() else { return [] }
        defer { bt_error_release(error) }
        var causes: [String] = []
        for index in 0..<bt_error_get_cause_count(error) {
            guard let cause = bt_error_borrow_cause_by_index(error, index),
                let message = bt_error_cause_get_message(cause)
            else { continue }
            let text = sentence(String(cString: message))
            if !text.isEmpty, !causes.contains(text) { causes.append(text) }
        }
        return causes
    }

    /// Without what only a debugger can use: addresses, and the names of the library's own variables.
    private static func sentence(_ message: String) -> String {
        message.split(separator: "\n").map { line in
            line.split(separator: " ").filter { !$0.contains("-addr=0x") }.joined(separator: " ")
        }.joined(separator: "; ").trimmed(of: ".:, ").sanitized
    }
}

extension String {
    /// Without any of `characters` at either end.
    fileprivate func trimmed(of characters: String) -> String {
        var text = self[...]
        while let last = text.last, characters.contains(last) { text.removeLast() }
        while let first = text.first, characters.contains(first) { text.removeFirst() }
        return String(text)
    }
}
