/// A guest as the command line names it: `-A web1@3:9823`.
///
/// The grammar is that of `trace-cmd record -A` (trace-cmd-record(1)) where both have the words: `name@cid`,
/// `name@cid:port`, `cid`, `cid:port`, `name@host:port`, `host:port`. All digits are a CID. On top of it every
/// `Endpoint` can follow the name (`name@vsock:CID:PORT`, `name@tcp:HOST:PORT`, `name@unix:PATH?PORT`), and the default
/// port holds for hosts too, which the stock tool forgets. The port of a VMM's Unix socket follows a question mark and
/// not a colon, because a path may hold colons.
///
/// A bare word is not an address here: to trace-cmd it is the name of a libvirt machine, and who knows machines by name
/// looks them up before asking for their address.
package struct GuestAddress: Hashable, Sendable, CustomStringConvertible {
    package var name: String
    package var endpoint: Endpoint

    package init(name: String, endpoint: Endpoint) {
        self.name = name
        self.endpoint = endpoint
    }

    package static let grammar = """
        [NAME@]CID[:PORT], [NAME@]HOST:PORT, [NAME@]vsock:CID[:PORT], [NAME@]tcp:HOST[:PORT], [NAME@]unix:PATH or \
        [NAME@]unix:PATH?PORT (a VMM's socket that leads to vsock PORT of its guest); the port is \
        \(Endpoint.defaultPort) where none is written
        """

    package static func parse(_ text: String) throws(EndpointError) -> GuestAddress {
        func fail(_ problem: String) -> EndpointError {
            EndpointError(text: text, problem: problem, grammar: grammar)
        }
        let (name, place) = split(text)
        if let name, let problem = problem(ofName: name) { throw fail(problem) }
        if place.isEmpty { throw fail("the place is missing") }

        let endpoint: Endpoint
        if isEndpoint(place) {
            do { endpoint = try Endpoint(parsing: withPort(place)) } catch { throw fail(error.problem) }
        } else {
            endpoint = try short(place, isNamed: name != nil).mapProblem(fail)
        }
        if let problem = endpoint.problemWhenConnecting { throw fail(problem) }
        return GuestAddress(name: name ?? defaultName(endpoint), endpoint: endpoint)
    }

    /// As it is parsed, with everything that may be left out.
    package var description: String { "\(name)@\(endpoint)" }

    /// The name ends at the first `@`, unless the text opens with an endpoint's word: a path may hold an `@`.
    private static func split(_ text: String) -> (name: String?, place: String) {
        guard !isEndpoint(text), let at = text.firstIndex(of: "@") else { return (nil, text) }
        return (String(text[..<at]), String(text[text.index(after: at)...]))
    }

    private static func isEndpoint(_ text: String) -> Bool {
        Endpoint.schemes.contains { text.hasPrefix("\($0):") }
    }

    /// A guest is never "any CID", so here `vsock:3` can only be CID 3.
    private static func withPort(_ place: String) -> String {
        let cid = place.dropFirst("vsock:".count)
        guard place.hasPrefix("vsock:"), AddressText.number(cid) != nil else { return place }
        return "\(place):\(Endpoint.defaultPort)"
    }

    /// `CID`, `CID:PORT`, `HOST`, `HOST:PORT`.
    private static func short(_ place: String, isNamed: Bool) -> Result<Endpoint, Problem> {
        let parts = place.split(separator: ":", omittingEmptySubsequences: false)
        if let cid = AddressText.number(parts[0]), parts.count <= 2 {
            if cid == .max { return .failure(Problem("CID \(cid) stands for any; guests have 3 and above")) }
            guard parts.count == 2 else {
                return .success(.vsock(cid: cid, port: UInt32(Endpoint.defaultPort)))
            }
            return AddressText.vsockPort(parts[1]).map { .vsock(cid: cid, port: $0) }
        }
        return AddressText.hostAndPort(place).flatMap { host, port in
            // A word alone is a host only when it looks like one.
            let isWord = port == nil && !host.contains(".") && !AddressText.isNumeric(host) && host != "localhost"
            if isWord && !isNamed {
                return .failure(Problem("'\(host)' is a name and says not where the guest is: write \(host)@CID"))
            }
            return AddressText.host(host).map { .tcp(address: $0, port: port ?? Endpoint.defaultPort) }
        }
    }

    private static func problem(ofName name: String) -> String? {
        if name.isEmpty { return "the name before '@' is missing" }
        if name.utf8.count > 255 { return "the name has more than 255 bytes" }
        if name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            return "the name holds control characters"
        }
        return nil
    }

    /// The CID, the host, or the last part of the path.
    private static func defaultName(_ endpoint: Endpoint) -> String {
        switch endpoint {
        case .vsock(let cid, _): cid.map { "\($0)" } ?? "any"
        case .tcp(let address, _): address
        case .unix(let path, _): path.split(separator: "/").last.map(String.init) ?? path
        case .descriptor: endpoint.description
        }
    }
}
