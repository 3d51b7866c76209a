import Glibc

/// What tells an index that this user's programs made from one that somebody else made.
///
/// A checkpoint is the analysis' own memory, and far too wide to be checked field by field, so that nobody's checkpoints are
/// taken but one's own. Neither checksums nor owners say whose they are: both come with a copy. So they are sealed with
/// SipHash-2-4 (Aumasson and Bernstein, 2012; the reference implementation's test vectors hold) under a key that every user
/// has of his own, in `$XDG_STATE_HOME/tandem/checkpoint-key` or `~/.local/state/tandem/checkpoint-key`. Where there can be no
/// such file, the key is one of this program's run, and so is the index.
package struct LogSeal: Sendable {
    private let low: UInt64
    private let high: UInt64

    package init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    /// Of whoever runs this program.
    package static let user = stored() ?? LogSeal(low: .random(in: 0 ... .max), high: .random(in: 0 ... .max))

    package func tag(_ bytes: [UInt8]) -> UInt64 {
        var state = SipState(low, high)
        bytes.withUnsafeBytes { all in
            var at = 0
            while at + 8 <= all.count {
                state.take(UInt64(littleEndian: all.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
                at += 8
            }
            var last = UInt64(truncatingIfNeeded: all.count) << 56
            for (place, byte) in all[at...].enumerated() { last |= UInt64(byte) << UInt64(8 * place) }
            state.take(last)
        }
        return state.finish()
    }

    // MARK: The user's key

    private static let keyBytes = 16

    private static func stored() -> LogSeal? {
        guard let directory = directory() else { return nil }
        let path = "\(directory)/checkpoint-key"
        return read(path) ?? make(path, in: directory)
    }

    /// By the user database, because a changed user's environment often names the home of another: there, a key of ours
    /// would only stand in his way.
    private static func directory() -> String? {
        var state: String?
        if let set = getenv("XDG_STATE_HOME").map({ String(cString: $0) }), set.hasPrefix("/"), isOurs(set) {
            state = set
        } else if let home = getpwuid(geteuid())?.pointee.pw_dir.map({ String(cString: $0) }), home.hasPrefix("/") {
            mkdir("\(home)/.local", 0o700)
            state = "\(home)/.local/state"
        }
        guard let state else { return nil }
        mkdir(state, 0o700)
        mkdir("\(state)/tandem", 0o700)
        return "\(state)/tandem"
    }

    private static func isOurs(_ directory: String) -> Bool {
        var facts = stat()
        return stat(directory, &facts) == 0 && facts.st_uid == geteuid()
    }

    /// Nil unless it is a file that nobody else can have read or written.
    private static func read(_ path: String) -> LogSeal? {
        let file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var facts = stat()
        guard fstat(file, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG, facts.st_uid == geteuid(),
            facts.st_mode & 0o077 == 0
        else { return nil }
        var words = (UInt64(0), UInt64(0))
        let count = withUnsafeMutableBytes(of: &words) { pread(file, $0.baseAddress, keyBytes, 0) }
        return count == keyBytes ? LogSeal(low: words.0, high: words.1) : nil
    }

    /// Whole under its name or not at all; whoever was faster made the one that counts.
    private static func make(_ path: String, in directory: String) -> LogSeal? {
        let draft = "\(directory)/checkpoint-key.\(getpid())"
        let file = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else { return nil }
        defer { unlink(draft) }
        var generator = SystemRandomNumberGenerator()
        var words = (generator.next() as UInt64, generator.next() as UInt64)
        let count = withUnsafeMutableBytes(of: &words) { write(file, $0.baseAddress, keyBytes) }
        close(file)
        guard count == keyBytes else { return nil }
        link(draft, path)
        return read(path)
    }
}

private struct SipState {
    private var a: UInt64
    private var b: UInt64
    private var c: UInt64
    private var d: UInt64

    init(_ low: UInt64, _ high: UInt64) {
        a = low ^ 0x736f_6d65_7073_6575
        b = high ^ 0x646f_7261_6e64_6f6d
        c = low ^ 0x6c79_6765_6e65_7261
        d = high ^ 0x7465_6462_7974_6573
    }

    @inline(__always)
    mutating func take(_ word: UInt64) {
        d ^= word
        round()
        round()
        a ^= word
    }

    mutating func finish() -> UInt64 {
        c ^= 0xff
        for _ in 0..<4 { round() }
        return a ^ b ^ c ^ d
    }

    @inline(__always)
    private mutating func round() {
        func rotated(_ word: UInt64, _ count: UInt64) -> UInt64 { word &<< count | word &>> (64 &- count) }
        a &+= b
        b = rotated(b, 13) ^ a
        a = rotated(a, 32)
        c &+= d
        d = rotated(d, 16) ^ c
        a &+= d
        d = rotated(d, 21) ^ a
        c &+= b
        b = rotated(b, 17) ^ c
        c = rotated(c, 32)
    }
}
