import Console
import Foundation
import Glibc
import Testing

/// A terminal without a screen: what a program sees is `inside`, what the person in front of it sees is `outside`.
final class PseudoTerminal: Sendable {
    let outside: Int32
    let inside: Int32

    init(width: UInt16 = 80, height: UInt16 = 24) throws {
        outside = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        try #require(outside >= 0, "no pseudo-terminals here: errno \(errno)")
        // TIOCSPTLCK and TIOCGPTN (asm-generic/ioctls.h), which Swift's Glibc module does not have.
        var unlocked: Int32 = 0
        try #require(ioctl(outside, 0x4004_5431, &unlocked) == 0)
        var number: UInt32 = 0
        try #require(ioctl(outside, 0x8004_5430, &number) == 0)
        inside = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
        try #require(inside >= 0)
        resize(width: width, height: height)
        _ = fcntl(outside, F_SETFL, O_NONBLOCK)
    }

    deinit {
        close(inside)
        close(outside)
    }

    func resize(width: UInt16, height: UInt16) {
        var size = winsize(ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(inside, UInt(TIOCSWINSZ), &size)
    }

    func type(_ text: String) { _ = text.withCString { write(outside, $0, strlen($0)) } }

    /// Lines are assembled and echoed, as a shell expects.
    var isSane: Bool {
        var settings = termios()
        tcgetattr(inside, &settings)
        return settings.c_lflag & tcflag_t(ICANON) != 0 && settings.c_lflag & tcflag_t(ECHO) != 0
    }

    /// What was drawn until `isEnough`; at most ten seconds.
    func read(until isEnough: (String) -> Bool) -> String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let deadline = Date(timeIntervalSinceNow: 10)
        while Date() < deadline {
            var descriptor = pollfd(fd: outside, events: Int16(POLLIN), revents: 0)
            guard poll(&descriptor, 1, 20) > 0 else {
                if isEnough(String(decoding: bytes, as: UTF8.self)) { break }
                continue
            }
            let count = Glibc.read(outside, &buffer, buffer.count)
            guard count > 0 else { break }
            bytes += buffer.prefix(count)
            if isEnough(String(decoding: bytes, as: UTF8.self)) { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func read(until text: String) -> String { read { $0.contains(text) } }
}

let farewell = "\u{1b}[?25h\u{1b}[?1049l"
