import Foundation
import Testing
import Threading

/// Programs that run beside a test.
///
/// Unlike Foundation's processes they keep nothing of ours open and have no signal blocked: a daemon would live on and hold up
/// whoever reads the output of another program, and `perf` would wait for ever for the end of what it records.
enum Child {
    static func start(_ words: [String]) throws -> pid_t {
        let closing = """
            for file in /proc/$$/fd/*; do [ ${file##*/} -le 2 ] || eval "exec ${file##*/}>&-"; done; exec "$@"
            """
        var arguments = (["bash", "-c", closing, "-"] + words).map { strdup($0) } + [nil]
        defer { for word in arguments { free(word) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] {
            posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var child: pid_t = 0
        try #require(posix_spawn(&child, "/bin/bash", &actions, &attributes, &arguments, environ) == 0)
        return child
    }

    /// Waits for it, for twenty seconds at most.
    static func succeeded(_ child: pid_t) -> Bool {
        var status: Int32 = 0
        for _ in 0..<400 {
            if waitpid(child, &status, WNOHANG) == child { return status == 0 }
            MonotonicClock.sleep(nanoseconds: 50_000_000)
        }
        kill(child, SIGKILL)
        waitpid(child, &status, 0)
        return false
    }

    static func succeeds(_ words: String...) throws -> Bool { succeeded(try start(words)) }
}
