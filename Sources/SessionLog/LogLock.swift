import Glibc

/// Who may write into a recording's directory now: the program that records, or a reader that makes the index it lacks. The
/// kernel gives it back when its holder ends, however that ends (flock(2)).
final class LogLock {
    private let descriptor: Int32

    /// Nil when another has it, or the directory cannot be opened.
    init?(_ directory: String) {
        descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            return nil
        }
    }

    deinit { close(descriptor) }
}
