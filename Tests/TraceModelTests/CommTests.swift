import Testing
import TraceModel

struct CommTests {
    @Test(arguments: ["a", "qemu-system-x86", "CPU 0/KVM", "fifteen bytes.."])
    func `a task name is kept`(text: String) {
        #expect(Comm(text).text == text)
    }

    @Test
    func `terminal escapes and invalid UTF-8 never reach a screen`() {
        #expect(Comm("\u{1b}[31mred").text == "?[31mred")
        #expect(Comm(bytes: [0xff, 0x41]).text == "\u{fffd}A")
        #expect("a\u{202e}b".sanitized == "a?b")
    }

    @Test
    func `a name longer than the kernel keeps is cut`() {
        #expect(Comm("0123456789abcdefgh").text == "0123456789abcde")
    }
}
