package import TraceModel

/// What the numbers in `exit_reason` of `kvm:kvm_exit` mean.
///
/// VMX and SVM number their exits differently, and one kernel has both tables. The field `isa` says which one applies
/// (arch/x86/kvm/trace.h, `kvm_print_exit_reason`):
/// `(REC->isa == 1) ? __print_symbolic(REC->exit_reason & 0xffff, …) : __print_symbolic(REC->exit_reason, …)`.
/// Number 12 is HLT on VMX and nothing on SVM, so that a wrong table would not look wrong: where the text does not say
/// for which `isa` a table is, it is not used.
package struct ExitReasonNames: Hashable, Sendable {
    private static let field = "exit_reason"
    /// `KVM_ISA_VMX` and `KVM_ISA_SVM`: the only two.
    private static let vmx: UInt64 = 1
    private static let svm: UInt64 = 2

    private var byISA: [UInt64: SymbolTable] = [:]
    /// For a kernel whose event has one table for all.
    private var unconditional: SymbolTable?

    package init(format: EventFormat) {
        let tokens = PrintFormatToken.scan(formatFile: format.text)
        /// By the end of a call in the first branch of `isa == N ? … : …`: the `isa` of the other branch.
        var otherISA: [Int: UInt64] = [:]
        for call in SymbolicCall.all(in: tokens) where call.field == Self.field && call.range.lowerBound > 0 {
            guard let table = SymbolTable(call, of: format) else { continue }
            let before = call.range.lowerBound - 1
            switch tokens[before] {
            case .symbol("?"):
                guard let isa = Self.isa(condition: tokens[..<before]) else { continue }
                if byISA[isa] == nil { byISA[isa] = table }
                otherISA[call.range.upperBound] = isa == Self.vmx ? Self.svm : Self.vmx
            case .symbol(":"):
                if let isa = otherISA[before], byISA[isa] == nil { byISA[isa] = table }
            case .symbol(","): unconditional = unconditional ?? table
            default: break
            }
        }
        if !byISA.isEmpty { unconditional = nil }
    }

    /// The kernel's name for `reason`; nil when it has none, or when `isa` is needed and unknown.
    package func name(reason: UInt64, isa: UInt64?) -> String? {
        if let unconditional { return unconditional[reason] }
        return isa.flatMap { byISA[$0] }?[reason]
    }

    /// N, when `tokens` end with an argument that starts with `REC->isa == N`, in brackets or not.
    private static func isa(condition tokens: ArraySlice<PrintFormatToken>) -> UInt64? {
        let isBracketed = tokens.last == .symbol(")")
        let inner = isBracketed ? tokens.dropLast() : tokens
        guard case .number(let isa) = inner.last, isa == vmx || isa == svm else { return nil }
        let start: [PrintFormatToken] =
            [.symbol(",")] + (isBracketed ? [.symbol("(")] : [])
            + [.word("REC"), .symbol("->"), .word("isa"), .symbol("==")]
        return inner.dropLast().suffix(start.count).elementsEqual(start) ? isa : nil
    }
}
