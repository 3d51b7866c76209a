// swift-tools-version: 6.2
import PackageDescription

// The house and its doors: Sources/ARCHITECTURE.md. Each target's comment says what it must never import; most of that
// is enforced here, by leaving it out of the dependencies.

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// For rooms whose small functions run per event in other rooms. `@inlinable` does nothing for `package` declarations in
/// Swift 6.3: without this, each is a call (decoding takes 17 ns an event instead of 6.4).
let inlinedElsewhere: [SwiftSetting] = [.unsafeFlags(["-enable-cmo-everything"], .when(configuration: .release))]

let package = Package(
    name: "tandem",
    products: [
        .executable(name: "tandem", targets: ["tandem"]),
        .executable(name: "tandem-agent", targets: ["tandem-agent"]),
    ],
    dependencies: [
        // Verbs, options and help of the host program. The agent parses its few options by hand: this library alone
        // would double the size of its static file.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        // Percentiles with a known error over nine orders of magnitude, at one addition a value (Analysis/Distribution.swift).
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // Shims for what Glibc's module lacks: vsock addresses, a few flags. No logic.
        .target(name: "CLinux"),
        // The system's zlib and zstd: trace.dat files are compressed by one of them, recordings by the second. Linked as
        // shared libraries, which every Debian has; the headers are in zlib1g-dev and libzstd-dev.
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        // Debian's library that reads and writes CTF. Room CTF alone may import it.
        .systemLibrary(
            name: "CBabeltrace2", pkgConfig: "babeltrace2", providers: [.apt(["libbabeltrace2-dev"])]),

        // Pure rooms: the standard library only. No Foundation, no sockets, no files, no clocks, no logger.
        .target(name: "TraceModel", swiftSettings: strict + inlinedElsewhere),
        .target(name: "Decoding", dependencies: ["TraceModel"], swiftSettings: strict),
        .target(name: "Wire", dependencies: ["TraceModel"], swiftSettings: strict),
        // trace-cmd's files: bytes in, values out. Decompression is a closure that an edge fills.
        .target(name: "TraceDat", dependencies: ["TraceModel", "Decoding"], swiftSettings: strict),
        .target(name: "Timeline", dependencies: ["TraceModel"], swiftSettings: strict),
        .target(
            name: "Analysis",
            dependencies: ["TraceModel", .product(name: "Histogram", package: "hdrhistogram-swift")],
            swiftSettings: strict),
        .target(name: "Views", dependencies: ["TraceModel"], swiftSettings: strict),

        // Events as lines of text, and filters. Not `inlinedElsewhere`: with it in a second room, both emit the same
        // specializations of the standard library, and a release build does not link.
        .target(name: "EventText", dependencies: ["TraceModel"], swiftSettings: strict),
        // Rules about what may not happen, as users type them, checked on snapshots.
        .target(name: "Thresholds", dependencies: ["TraceModel"], swiftSettings: strict),
        // A value's whole state to bytes and back, for checkpoints of the analysis.
        .target(name: "StateCoding", swiftSettings: strict),

        // Edges: bytes in and out, nothing decided.
        // Sockets. Cannot name a message.
        .target(name: "Transport", dependencies: ["CLinux"], swiftSettings: strict),
        // tracefs. Cannot decode.
        .target(name: "Capture", dependencies: ["TraceModel", "CLinux"], swiftSettings: strict),
        // Threads and the bounded queues between them.
        .target(name: "Threading", swiftSettings: strict),
        // What /proc says about this host's virtual machines. Must never import Wire, Transport or Analysis: it reports
        // evidence; who connects and who is blamed is decided elsewhere.
        .target(name: "Inventory", dependencies: ["TraceModel"], swiftSettings: strict),
        // Blocks of bytes through the system's libraries. Must never be imported by Agent: it is one static file.
        .target(name: "Compression", dependencies: ["CZlib", "CZstd"], swiftSettings: strict),
        // The append-only recording: frames on disk.
        .target(name: "SessionLog", dependencies: ["TraceModel", "Wire", "Compression"], swiftSettings: strict),

        // CTF traces of LTTng and perf, through libbabeltrace2: files and live sessions in, traces out. Must never merge
        // sources or decide what an event means.
        .target(
            name: "CTF",
            dependencies: ["TraceModel", "Decoding", "SessionLog", "Threading", "Timeline", "Wire", "CBabeltrace2"],
            swiftSettings: strict),
        // trace.dat files on disk: mapped and decompressed for the room that reads them, and turned into recordings and back.
        .target(
            name: "TraceFiles",
            dependencies: ["TraceModel", "TraceDat", "Decoding", "Compression", "SessionLog", "Timeline", "Wire"],
            swiftSettings: strict),

        // One round over a private tracefs instance: read, decode, count. Host and guest are traced by the same code.
        .target(
            name: "Recorder", dependencies: ["TraceModel", "Capture", "Decoding", "Threading"], swiftSettings: strict),

        // The guest's program. Must never import Collector, Foundation or NIO: it is one static file.
        .target(
            name: "Agent",
            dependencies: ["TraceModel", "Capture", "Recorder", "Wire", "Transport", "Threading"],
            swiftSettings: strict),
        // The host's program.
        .target(
            name: "Collector",
            dependencies: [
                "TraceModel", "Capture", "Decoding", "Recorder", "Wire", "Transport", "Threading", "Timeline",
                "CTF", "Analysis",
                "SessionLog", "Inventory", "StateCoding", "Thresholds", "EventText",
            ], swiftSettings: strict),
        // The terminal: raw mode, keys, signals, the screen. Draws frames and decides nothing about them.
        .target(name: "Console", dependencies: ["TraceModel", "Views"], swiftSettings: strict),
        .target(
            name: "Commands",
            dependencies: [
                "TraceModel", "Capture", "Collector", "CTF", "TraceFiles", "Views", "Console", "SessionLog", "Wire",
                "Transport", "Threading", "Thresholds", "EventText",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            // A recording for `tandem demo`: two guests of the lab, made by `tandem record` there.
            resources: [.copy("Resources/demo-recording")], swiftSettings: strict),

        .executableTarget(
            name: "tandem",
            dependencies: ["Commands", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: strict),
        .executableTarget(
            name: "tandem-agent", dependencies: ["Agent"],
            // One file that runs on any guest's user land: nothing is loaded at run time.
            swiftSettings: strict + [.unsafeFlags(["-static-executable"])],
            linkerSettings: [.unsafeFlags(["-static-executable"])]),

        // Times the rooms, one subcommand for each: `swift run -c release tandem-bench`. No Foundation.
        .executableTarget(
            name: "tandem-bench",
            dependencies: [
                "AllocationCounting", "TraceModel", "Decoding", "Wire", "Timeline", "Analysis", "SessionLog",
                "Collector", "TraceFiles", "CTF", "RecordingSupport", "Views", "EventText",
            ],
            path: "Tests/Benchmarks", swiftSettings: strict),
        // A private tracefs instance, child processes, and the truth about clocks, for tests and benchmarks. No Foundation.
        .target(
            name: "RecordingSupport",
            dependencies: ["TraceModel", "Decoding", "Collector", "SessionLog", "Timeline"],
            path: "Tests/RecordingSupport",
            // Optimized in debug builds too: it writes and compares a million lines of text.
            swiftSettings: strict + [.unsafeFlags(["-O"])]),

        // Counts what a test allocates, by standing before the C library's own functions.
        .target(name: "AllocationCounting", path: "Tests/AllocationCounting"),

        .testTarget(name: "TraceModelTests", dependencies: ["TraceModel"], swiftSettings: strict),
        .testTarget(name: "DecodingTests", dependencies: ["Decoding", "TraceModel"], swiftSettings: strict),
        .testTarget(name: "WireTests", dependencies: ["Wire", "TraceModel"], swiftSettings: strict),
        .testTarget(name: "ThresholdsTests", dependencies: ["Thresholds", "TraceModel"], swiftSettings: strict),
        .testTarget(name: "EventTextTests", dependencies: ["EventText", "TraceModel"], swiftSettings: strict),
        .testTarget(name: "StateCodingTests", dependencies: ["StateCoding"], swiftSettings: strict),
        .testTarget(name: "TimelineTests", dependencies: ["TraceModel", "Timeline"], swiftSettings: strict),
        .testTarget(
            name: "AnalysisTests",
            // The pipeline and its inputs, for recordings of the lab.
            dependencies: [
                "AllocationCounting", "Analysis", "Collector", "Decoding", "SessionLog", "Timeline", "TraceFiles",
                "TraceModel", "Wire",
            ], swiftSettings: strict),
        .testTarget(
            name: "ViewsTests", dependencies: ["TraceModel", "Views"],
            // Expected screens, read from beside the tests that compare them.
            exclude: ["Golden"], swiftSettings: strict),
        .testTarget(name: "TransportTests", dependencies: ["Transport"], swiftSettings: strict),
        .testTarget(name: "CompressionTests", dependencies: ["Compression"], swiftSettings: strict),
        .testTarget(
            name: "TraceDatTests",
            dependencies: [
                "Compression", "Decoding", "RecordingSupport", "SessionLog", "Timeline", "TraceDat", "TraceFiles",
                "TraceModel", "Wire",
            ],
            swiftSettings: strict),
        .testTarget(name: "CaptureTests", dependencies: ["Capture", "TraceModel"], swiftSettings: strict),
        .testTarget(name: "ThreadingTests", dependencies: ["Threading"], swiftSettings: strict),
        .testTarget(name: "RecorderTests", dependencies: ["Recorder", "TraceModel"], swiftSettings: strict),
        .testTarget(name: "InventoryTests", dependencies: ["Inventory", "TraceModel"], swiftSettings: strict),
        .testTarget(
            name: "SessionLogTests", dependencies: ["SessionLog", "TraceModel", "Wire"], swiftSettings: strict),
        .testTarget(
            name: "CTFTests",
            dependencies: [
                "CTF", "Collector", "Decoding", "SessionLog", "Threading", "Timeline", "TraceFiles", "TraceModel",
                "Wire",
            ],
            // Traces, read where they lie.
            exclude: ["Fixtures"], swiftSettings: strict),
        .testTarget(name: "ConsoleTests", dependencies: ["TraceModel", "Views", "Console"], swiftSettings: strict),
        .testTarget(
            name: "CollectorTests",
            dependencies: [
                "CTF", "Collector", "Decoding", "EventText", "RecordingSupport", "SessionLog", "Timeline", "TraceFiles",
                "TraceModel", "Wire",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "CommandTests", dependencies: ["Collector", "Commands", "TraceModel", "Transport", "Wire"],
            swiftSettings: strict),
        .testTarget(name: "AgentTests", dependencies: ["Agent", "Transport"], swiftSettings: strict),
        // A KVM host with guests; `Deploy/test --lab` boots it, without it the tests are skipped.
        .testTarget(
            name: "LabTests",
            dependencies: ["Collector", "Decoding", "RecordingSupport", "SessionLog", "TraceModel", "Wire"],
            swiftSettings: strict),
        // Real tracefs, real processes; each test says what is missing when it is skipped.
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "Capture", "Collector", "Decoding", "Recorder", "RecordingSupport", "SessionLog", "Threading",
                "TraceModel",
                "Transport", "Wire",
            ], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
