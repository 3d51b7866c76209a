import Testing

/// Everything that traces the machine it runs on, one test after the other: they count events and look at what is left.
@Suite(
    .serialized, .timeLimit(.minutes(10)),
    .enabled(if: Capability.canTrace, "tracing needs write access to /sys/kernel/tracing/instances: run as root"))
struct RealTracingTests {}
