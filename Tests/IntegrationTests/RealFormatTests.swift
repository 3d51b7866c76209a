import Decoding
import RecordingSupport
import Testing
import TraceModel

/// The format files of the kernel that runs the test.
struct RealFormatTests {
    @Test(.enabled(if: TracingInstance.missing() == nil, "needs \(TracingInstance.missing() ?? "nothing")"))
    func `every format file of this kernel is understood`() throws {
        let texts = try TracingInstance.formatTexts()
        var kinds: [EventField.Kind: Int] = [:]
        for (system, event, text) in texts {
            let format = try EventFormatParser.parse(text, system: system)
            #expect(format.name == event)
            // As many fields as lines that state one.
            let lines = text.split(separator: "\n").filter { $0.hasPrefix("\tfield") && !$0.contains(" common_") }
            #expect(format.fields.count == lines.count, "\(system):\(event)")
            for (field, line) in zip(format.fields, lines) {
                #expect(line.contains("\toffset:\(field.offset);\tsize:\(field.size);"), "\(line)")
                kinds[field.kind, default: 0] += 1
            }
        }
        #expect(texts.count > 100)
        print("\(texts.count) format files, fields by kind: \(kinds)")
    }

    @Test(
        .enabled(
            if: Files.exists("\(TracingInstance.tracing)/events/kvm/kvm_exit/format"),
            "needs the kvm events: the module is not loaded, or tracefs cannot be read"))
    func `this kernel's exit reasons have names`() throws {
        let text = try Files.readText("\(TracingInstance.tracing)/events/kvm/kvm_exit/format")
        let names = ExitReasonNames(format: try EventFormatParser.parse(text, system: "kvm"))
        #expect(names.name(reason: 12, isa: 1) == "HLT")
        #expect(names.name(reason: 0x78, isa: 2) == "hlt")
        #expect(names.name(reason: 12, isa: 2) == nil)
    }
}
