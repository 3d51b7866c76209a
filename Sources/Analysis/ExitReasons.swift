/// Why a vCPU left guest mode: the number that `kvm_exit` carries, and whose numbering it is.
struct ExitCode: Hashable, Sendable, Codable {
    /// The numbering, by the `isa` field of `kvm_exit` (`KVM_ISA_VMX`, `KVM_ISA_SVM` in arch/x86/kvm/trace.h).
    enum ISA: UInt8, Sendable, Codable {
        case none = 0
        case vmx = 1
        case svm = 2
        /// arm64's `kvm_exit` has no `isa`; it has `ret` and `esr_ec` (arch/arm64/kvm/trace_arm.h).
        case arm64 = 3
    }

    let reason: UInt32
    let isa: ISA

    init(reason: UInt32, isa: ISA) {
        self.reason = reason
        self.isa = isa
    }

    /// The `exit_reason` and `isa` fields of x86.
    ///
    /// VMX reports the basic reason in the low sixteen bits. Of the flags above it only bit 31, a failed VM entry, makes
    /// it another reason; the rest (bus lock detected, enclave mode) say something besides (Intel SDM 3, 25.9.1).
    ///
    /// Any other `isa`, and none at all (0 is what a record without it reads as), is no numbering that has names here.
    init(exitReason: UInt32, isa: UInt64) {
        switch isa {
        case 2: self.init(reason: exitReason, isa: .svm)
        case 1: self.init(reason: exitReason & 0x8000_ffff, isa: .vmx)
        default: self.init(reason: exitReason, isa: .none)
        }
    }

    /// The `ret` and `esr_ec` fields of arm64 (arch/arm64/include/asm/kvm_asm.h, `ARM_EXCEPTION_*`).
    ///
    /// A trap is told by its exception class, six bits wide; the other ways out are put above them.
    init(exceptionCode: UInt32, exceptionClass: UInt32) {
        let code = exceptionCode & 0x7fff_ffff
        self.init(reason: code == 2 ? exceptionClass & 0x3f : 0x100 | (code & 0xff), isa: .arm64)
    }

    /// The guest asked to sleep: HLT, MWAIT, or arm64's WFI (a trap of WFE shares its class; `kvm_wfx_arm64` tells).
    var isHalt: Bool {
        switch isa {
        case .vmx: reason == 12 || reason == 36
        case .svm: reason == 0x78 || (0x8b...0x8c).contains(reason) || reason == 0xa6
        case .arm64: reason == 0x01
        case .none: false
        }
    }

    /// The name in the kernel's user-space headers, without `EXIT_REASON_` or `SVM_EXIT_`.
    var name: String {
        switch isa {
        case .vmx:
            let name = ExitReasonNames.vmx[reason & 0xffff] ?? Self.unnamed(reason & 0xffff)
            return name + flags
        case .svm:
            if (0x40...0x5f).contains(reason) { return "EXCP_\(ExitReasonNames.exception(reason - 0x40))" }
            return ExitReasonNames.svm[reason] ?? Self.unnamed(reason)
        case .arm64: return ExitReasonNames.arm64[reason] ?? Self.unnamed(reason)
        case .none: return Self.unnamed(reason)
        }
    }

    /// What VMX tells besides the basic reason.
    var flags: String { isa == .vmx && reason & 0x8000_0000 != 0 ? " FAILED_VMENTRY" : "" }

    private static func unnamed(_ reason: UInt32) -> String { "reason 0x\(String(reason, radix: 16))" }
}
