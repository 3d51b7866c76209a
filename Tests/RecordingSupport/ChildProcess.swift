import Glibc

/// A program that runs beside the test: its output comes through a pipe, its end is waited for.
package struct ChildProcess: ~Copyable {
    private let pid: pid_t
    /// What the program writes to its standard output.
    package let output: Int32

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// The first place in the usual folders that has an executable `name`.
    package static func find(_ name: String) -> String? {
        ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
            .map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// Starts `arguments`, the first of which is the program's path. Its complaints go where ours go.
    package init(_ arguments: [String]) throws(Failure) {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw Failure(description: "cannot make a pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[1]) }
        var actions = posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        var child: pid_t = 0
        let settings = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"]
        var words: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = unsafe settings.map { unsafe strdup($0) } + [nil]
        defer { for word in words + environment { unsafe free(word) } }
        let status = unsafe posix_spawn(&child, arguments[0], &actions, nil, &words, &environment)
        guard status == 0 else {
            close(ends[0])
            throw Failure(description: "cannot start \(arguments[0]): \(String(cString: strerror(status)))")
        }
        pid = child
        output = ends[0]
    }

    /// Waits for the end; true when the program says that all went well.
    package consuming func wait() -> Bool {
        close(output)
        var status: Int32 = 0
        while unsafe waitpid(pid, &status, 0) < 0 {
            if errno != EINTR { return false }
        }
        return status == 0
    }

    /// Runs `arguments` to its end and gives its output; throws when it fails.
    @discardableResult
    package static func run(_ arguments: [String]) throws(Failure) -> [UInt8] {
        let child = try ChildProcess(arguments)
        let output = Files.readToEnd(child.output, chunk: 1 << 16) ?? []
        guard child.wait() else { throw Failure(description: "\(arguments.joined(separator: " ")) failed") }
        return output
    }
}
