import Threading
import Transport

/// Writes to one connection from several threads, each write as a whole.
///
/// The sender's batches, the answers of the reading thread and the last words of a shutdown share a socket; two writes at
/// once would mix their bytes, and the peer could read neither.
final class FrameWriter: @unchecked Sendable {
    // @unchecked: the variables are only touched under `lock`.
    private let connection: Connection
    private let lock = ConditionLock()
    private var isBusy = false
    /// A write broke off: what comes now would be read as the rest of it.
    private var isCut = false

    init(_ connection: Connection) { self.connection = connection }

    /// Waits at most that long for its turn, and as long for a peer that takes nothing.
    func write(_ bytes: [UInt8], timeoutMilliseconds: Int) throws(TransportError) {
        let deadline = MonotonicClock.deadline(after: Int64(timeoutMilliseconds) * 1_000_000)
        let isMyTurn = lock.withLock {
            while isBusy { guard lock.wait(until: deadline) else { break } }
            guard !isBusy else { return false }
            isBusy = true
            return true
        }
        guard isMyTurn else {
            throw TransportError(.write, connection.endpoint, .timedOut(milliseconds: timeoutMilliseconds))
        }
        var isWhole = false
        defer {
            lock.withLock {
                isBusy = false
                isCut = isCut || !isWhole
                lock.broadcast()
            }
        }
        guard !lock.withLock({ isCut }) else { throw TransportError(.write, connection.endpoint, .shutDown) }
        try connection.write(bytes, timeoutMilliseconds: timeoutMilliseconds)
        isWhole = true
    }
}
