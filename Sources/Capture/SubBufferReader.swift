import Glibc
import Synchronization

/// One CPU's buffer of a trace instance, read a sub-buffer at a time.
///
/// `read` on `trace_pipe_raw` gives the oldest sub-buffer, also one that is still being filled, as a page that stands by
/// itself: a page read in two goes begins, the second time, at its next event, with that event's time in its header.
/// splice(2) gives finished pages only, and mapping costs more per event. Reading never waits: whoever reads comes back
/// on a tick. Source: kernel/trace/ring_buffer.c, ring_buffer_read_page; measured on Linux 6.18.
package final class SubBufferReader: Sendable {
    package let cpu: Int
    package let subBufferBytes: Int
    private let path: String
    /// -1 once closed. The lock is held while the kernel copies, so that nobody closes the descriptor under a read; it is
    /// free otherwise, because one thread reads one CPU.
    private let descriptor: Mutex<Int32>

    package init(files: InstanceFiles, cpu: Int, subBufferBytes: Int) throws(CaptureError) {
        self.cpu = cpu
        self.subBufferBytes = subBufferBytes
        path = files.file("per_cpu/cpu\(cpu)/trace_pipe_raw")
        let number = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        if number < 0 { throw CaptureError(.open, path, Errno.last) }
        descriptor = Mutex(number)
    }

    deinit { close() }

    /// Reads one sub-buffer into the start of `buffer`; nil when there is none, or this reader was closed.
    ///
    /// `buffer` holds `subBufferBytes` at least: of a shorter read the kernel gives the rest later with no time in it.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(CaptureError) -> Int? {
        guard buffer.count >= subBufferBytes else {
            throw CaptureError(
                .read, path, .unsuitable("\(buffer.count) bytes were offered for \(subBufferBytes) of a sub-buffer"))
        }
        while true {
            let (count, error) = descriptor.withLock { number -> (Int, Errno) in
                if number < 0 { return (0, Errno(code: 0)) }
                let count = Glibc.read(number, buffer.baseAddress, subBufferBytes)
                return (count, count < 0 ? Errno.last : Errno(code: 0))
            }
            switch error.code {
            case 0: return count == 0 ? nil : count
            case EAGAIN: return nil
            case EINTR: continue
            default: throw CaptureError(.read, path, error)
            }
        }
    }

    /// Gives the file back, without which the instance cannot be removed. Any number of times, from any thread.
    package func close() {
        descriptor.withLock { number in
            if number >= 0 { Glibc.close(number) }
            number = -1
        }
    }
}
