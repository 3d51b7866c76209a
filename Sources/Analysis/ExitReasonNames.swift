/// What exit reasons are called when the event's own format does not say.
///
/// Sources: arch/x86/include/uapi/asm/vmx.h and svm.h, arch/arm64/include/asm/esr.h (`ESR_ELx_EC_*`) and kvm_asm.h.
enum ExitReasonNames {
    /// By basic exit reason (Intel SDM 3, appendix C).
    static let vmx: [UInt32: String] = [
        0: "EXCEPTION_NMI", 1: "EXTERNAL_INTERRUPT", 2: "TRIPLE_FAULT", 3: "INIT_SIGNAL", 4: "SIPI_SIGNAL",
        7: "INTERRUPT_WINDOW", 8: "NMI_WINDOW", 9: "TASK_SWITCH", 10: "CPUID", 12: "HLT", 13: "INVD", 14: "INVLPG",
        15: "RDPMC", 16: "RDTSC", 18: "VMCALL", 19: "VMCLEAR", 20: "VMLAUNCH", 21: "VMPTRLD", 22: "VMPTRST",
        23: "VMREAD", 24: "VMRESUME", 25: "VMWRITE", 26: "VMOFF", 27: "VMON", 28: "CR_ACCESS", 29: "DR_ACCESS",
        30: "IO_INSTRUCTION", 31: "MSR_READ", 32: "MSR_WRITE", 33: "INVALID_STATE", 34: "MSR_LOAD_FAIL",
        36: "MWAIT_INSTRUCTION", 37: "MONITOR_TRAP_FLAG", 39: "MONITOR_INSTRUCTION", 40: "PAUSE_INSTRUCTION",
        41: "MCE_DURING_VMENTRY", 43: "TPR_BELOW_THRESHOLD", 44: "APIC_ACCESS", 45: "EOI_INDUCED", 46: "GDTR_IDTR",
        47: "LDTR_TR", 48: "EPT_VIOLATION", 49: "EPT_MISCONFIG", 50: "INVEPT", 51: "RDTSCP", 52: "PREEMPTION_TIMER",
        53: "INVVPID", 54: "WBINVD", 55: "XSETBV", 56: "APIC_WRITE", 57: "RDRAND", 58: "INVPCID", 59: "VMFUNC",
        60: "ENCLS", 61: "RDSEED", 62: "PML_FULL", 63: "XSAVES", 64: "XRSTORS", 67: "UMWAIT", 68: "TPAUSE",
        74: "BUS_LOCK", 75: "NOTIFY", 77: "TDCALL", 84: "MSR_READ_IMM", 85: "MSR_WRITE_IMM",
    ]

    /// By exit code (AMD APM 2, appendix C), without the 32 exceptions from 0x40 on.
    static let svm: [UInt32: String] = [
        0x00: "READ_CR0", 0x02: "READ_CR2", 0x03: "READ_CR3", 0x04: "READ_CR4", 0x08: "READ_CR8", 0x10: "WRITE_CR0",
        0x12: "WRITE_CR2", 0x13: "WRITE_CR3", 0x14: "WRITE_CR4", 0x18: "WRITE_CR8", 0x20: "READ_DR0",
        0x21: "READ_DR1", 0x22: "READ_DR2", 0x23: "READ_DR3", 0x24: "READ_DR4", 0x25: "READ_DR5", 0x26: "READ_DR6",
        0x27: "READ_DR7", 0x30: "WRITE_DR0", 0x31: "WRITE_DR1", 0x32: "WRITE_DR2", 0x33: "WRITE_DR3",
        0x34: "WRITE_DR4", 0x35: "WRITE_DR5", 0x36: "WRITE_DR6", 0x37: "WRITE_DR7", 0x60: "INTR", 0x61: "NMI",
        0x62: "SMI", 0x63: "INIT", 0x64: "VINTR", 0x65: "CR0_SEL_WRITE", 0x66: "IDTR_READ", 0x67: "GDTR_READ",
        0x68: "LDTR_READ", 0x69: "TR_READ", 0x6a: "IDTR_WRITE", 0x6b: "GDTR_WRITE", 0x6c: "LDTR_WRITE",
        0x6d: "TR_WRITE", 0x6e: "RDTSC", 0x6f: "RDPMC", 0x70: "PUSHF", 0x71: "POPF", 0x72: "CPUID", 0x73: "RSM",
        0x74: "IRET", 0x75: "SWINT", 0x76: "INVD", 0x77: "PAUSE", 0x78: "HLT", 0x79: "INVLPG", 0x7a: "INVLPGA",
        0x7b: "IOIO", 0x7c: "MSR", 0x7d: "TASK_SWITCH", 0x7e: "FERR_FREEZE", 0x7f: "SHUTDOWN", 0x80: "VMRUN",
        0x81: "VMMCALL", 0x82: "VMLOAD", 0x83: "VMSAVE", 0x84: "STGI", 0x85: "CLGI", 0x86: "SKINIT", 0x87: "RDTSCP",
        0x88: "ICEBP", 0x89: "WBINVD", 0x8a: "MONITOR", 0x8b: "MWAIT", 0x8c: "MWAIT_COND", 0x8d: "XSETBV",
        0x8e: "RDPRU", 0x8f: "EFER_WRITE_TRAP", 0x90: "CR0_WRITE_TRAP", 0x91: "CR1_WRITE_TRAP",
        0x92: "CR2_WRITE_TRAP", 0x93: "CR3_WRITE_TRAP", 0x94: "CR4_WRITE_TRAP", 0x95: "CR5_WRITE_TRAP",
        0x96: "CR6_WRITE_TRAP", 0x97: "CR7_WRITE_TRAP", 0x98: "CR8_WRITE_TRAP", 0x99: "CR9_WRITE_TRAP",
        0x9a: "CR10_WRITE_TRAP", 0x9b: "CR11_WRITE_TRAP", 0x9c: "CR12_WRITE_TRAP", 0x9d: "CR13_WRITE_TRAP",
        0x9e: "CR14_WRITE_TRAP", 0x9f: "CR15_WRITE_TRAP", 0xa2: "INVPCID", 0xa5: "BUS_LOCK", 0xa6: "IDLE_HLT",
        0x400: "NPF", 0x401: "AVIC_INCOMPLETE_IPI", 0x402: "AVIC_UNACCELERATED_ACCESS", 0x403: "VMGEXIT",
        0x8000_0001: "VMGEXIT_MMIO_READ", 0x8000_0002: "VMGEXIT_MMIO_WRITE", 0x8000_0003: "VMGEXIT_NMI_COMPLETE",
        0x8000_0004: "VMGEXIT_AP_HLT_LOOP", 0x8000_0005: "VMGEXIT_AP_JUMP_TABLE", 0x8000_0010: "VMGEXIT_PSC",
        0x8000_0011: "VMGEXIT_GUEST_REQUEST", 0x8000_0012: "VMGEXIT_EXT_GUEST_REQUEST",
        0x8000_0013: "VMGEXIT_AP_CREATION", 0x8000_fffd: "VMGEXIT_HV_FEATURES", 0x8000_fffe: "VMGEXIT_TERM_REQUEST",
        0x8000_ffff: "VMGEXIT_UNSUPPORTED_EVENT", 0xffff_ffff: "ERR",
    ]

    /// By exception class; from 0x100 on, the ways out that are no trap (see `ExitCode`).
    static let arm64: [UInt32: String] = [
        0x00: "UNKNOWN", 0x01: "WFx", 0x03: "CP15_32", 0x04: "CP15_64", 0x05: "CP14_MR", 0x06: "CP14_LS",
        0x07: "FP_ASIMD", 0x08: "CP10_ID", 0x09: "PAC", 0x0c: "CP14_64", 0x0d: "BTI", 0x0e: "ILL", 0x11: "SVC32",
        0x12: "HVC32", 0x13: "SMC32", 0x15: "SVC64", 0x16: "HVC64", 0x17: "SMC64", 0x18: "SYS64", 0x19: "SVE",
        0x1a: "ERET", 0x1c: "FPAC", 0x1d: "SME", 0x1f: "IMP_DEF", 0x20: "IABT_LOW", 0x21: "IABT_CUR",
        0x22: "PC_ALIGN", 0x24: "DABT_LOW", 0x25: "DABT_CUR", 0x26: "SP_ALIGN", 0x27: "MOPS", 0x28: "FP_EXC32",
        0x2c: "FP_EXC64", 0x2f: "SERROR", 0x30: "BREAKPT_LOW", 0x31: "BREAKPT_CUR", 0x32: "SOFTSTP_LOW",
        0x33: "SOFTSTP_CUR", 0x34: "WATCHPT_LOW", 0x35: "WATCHPT_CUR", 0x38: "BKPT32", 0x3a: "VECTOR32",
        0x3c: "BRK64", 0x100: "IRQ", 0x101: "EL1_SERROR", 0x103: "IL",
    ]

    /// Mnemonics of the x86 exception vectors (Intel SDM 3, table 6-1); the vector in hexadecimal when it has none.
    static func exception(_ vector: UInt32) -> String {
        let names = [
            "DE", "DB", "NMI", "BP", "OF", "BR", "UD", "NM", "DF", "9", "TS", "NP", "SS", "GP", "PF", "f", "MF", "AC",
            "MC",
            "XM", "VE", "CP",
        ]
        return names.indices.contains(Int(vector)) ? names[Int(vector)] : String(vector, radix: 16)
    }
}
