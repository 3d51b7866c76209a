/// `tandem-bench SUBCOMMAND …`: times one room each. A new subcommand is one file and one line here.
let arguments = Array(CommandLine.arguments.dropFirst())
let usage = """
    usage: tandem-bench decode|wire [--sub-buffer KIB] (--record SECONDS | FOLDER)
           tandem-bench analyze [--soak EVENTS] [RECORDING]
           tandem-bench import (--record SECONDS | FOLDER | HOST.dat GUEST.dat…)
           tandem-bench text (--record SECONDS | FOLDER | HOST.dat GUEST.dat…)
           tandem-bench recording [--compress] [EVENTS [RECORDING]]
           tandem-bench views
           tandem-bench ctf [EVENTS | DIRECTORY]
           tandem-bench clock (RECORDING | HOST.dat GUEST.dat…)
      decode   raw ring-buffer sub-buffers to batches of events
      wire     batches to frames and back
      analyze  batches in merged order to the states of vCPUs; RECORDING as `tandem record` makes them, the demo's by
               default; --soak tells it until so many events are analyzed, and shows the memory
      import   trace.dat files to a recording on disk
      text     trace.dat files to merged text, as report --events does it
      recording  a recording of so many events (100 M): writing it, its size, and how soon any instant of it is found
      ctf      writing and reading CTF beside babeltrace2, on a trace of its own making or one that is there
      views    snapshots to frames of the live view; needs no input
      clock    how far maps of guests' clocks are off, in a recording whose clocks KVM told; or trace-cmd's own map beside
               ours, by the times when the vCPUs were in guest mode

    FOLDER holds cpuN.raw, and perhaps events/SYSTEM/EVENT/format (otherwise this kernel's) and a trace.dat of the same
    sub-buffers, against which trace-cmd is timed. --record records this machine under load (root; private instance).
    All figures are CPU time, so that other work on the machine disturbs them less.
    Measure with: swift run -c release tandem-bench …

    """

do {
    switch arguments.first {
    case "decode": try DecodeBenchmark.run(BenchmarkInput(arguments.dropFirst()))
    case "analyze": try AnalyzeBenchmark.run(arguments.dropFirst())
    case "import": try ImportBenchmark.run(arguments.dropFirst())
    case "text": try TextBenchmark.run(arguments.dropFirst())
    case "recording": try RecordingBenchmark.run(arguments.dropFirst())
    case "wire": try WireBenchmark.run(BenchmarkInput(arguments.dropFirst()))
    case "views": ViewsBenchmark.run()
    case "ctf": try CTFBenchmark.run(arguments.dropFirst())
    case "clock" where arguments.count == 2: try ClockBenchmark.run(arguments[1])
    case "clock" where arguments.count > 2: try ClockComparison.run(arguments.dropFirst())
    default: exitWithUsage()
    }
} catch {
    print("tandem-bench: \(error)")
    exitWithUsage()
}
