import Glibc

/// A named thread of the operating system.
///
/// Tandem's edges block: in `read`, `poll`, `accept`. Each blocking loop gets a thread of its own instead of a place in the
/// cooperative pool, where it would starve others, and order never crosses a `Task`.
package enum Thread {
    /// Starts `body`; the thread ends with it. The name (15 bytes are kept) shows in `top -H` and in our own traces.
    package static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var thread = pthread_t()
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let result = pthread_create(&thread, &attributes, threadMain, start.toOpaque())
        pthread_attr_destroy(&attributes)
        // EAGAIN: out of threads or memory. Nothing of the session can work then, and there is no caller to tell.
        precondition(result == 0, "a thread could not be created: error \(result)")
    }

    private final class Start: Sendable {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }

        func run() {
            // What pthread_setname_np does, which Swift's Glibc module does not have.
            let comm = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
            if comm >= 0 {
                _ = name.withCString { write(comm, $0, min(15, strlen($0))) }
                close(comm)
            }
            body()
        }
    }

    // A function and not a closure literal: a closure formed in main-actor code would carry that isolation into the new
    // thread and die there.
    private static let threadMain: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
        if let argument { Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
    }
}

/// Monotonic time for waits and intervals; never for events.
package enum MonotonicClock {
    package static func nanoseconds() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    }

    /// The moment `nanoseconds` from now; the end of time when that is beyond it.
    package static func deadline(after nanoseconds: Int64) -> Int64 {
        let (sum, isPastEnd) = MonotonicClock.nanoseconds().addingReportingOverflow(nanoseconds)
        return isPastEnd ? .max : sum
    }

    package static func sleep(nanoseconds: Int64) {
        guard nanoseconds > 0 else { return }
        var left = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        var rest = timespec()
        while nanosleep(&left, &rest) == -1, errno == EINTR { left = rest }
    }
}
