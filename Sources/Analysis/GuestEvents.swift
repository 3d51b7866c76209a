import TraceModel

/// A guest's events, from its door to its own rows.
extension Analyzer {
    /// The place of a guest among `guests`; a new one gets a new place. There are few: a scan beats hashing.
    mutating func guestIndex(of source: SourceID) -> Int {
        if let index = guests.firstIndex(where: { $0.id.rawValue == source.rawValue }) { return index }
        guests.append(GuestSource(id: source))
        return guests.count - 1
    }

    /// Makes room for the CPU of a guest, and finds out which vCPUs its CPUs are when identities have changed.
    mutating func prepare(guest: Int, cpu: Int) -> Bool {
        guard guests[guest].see(cpu) else { return false }
        guard guests[guest].resolvedGeneration != identityGeneration else { return true }
        guests[guest].resolvedGeneration = identityGeneration
        for cpu in guests[guest].cpus.indices { guests[guest].setVCPU(-1, of: cpu) }
        let machine = guests[guest].machine
        guard machine != 0 else { return true }
        for slot in vcpus.indices where vcpus[slot].phase == .live && vcpus[slot].machine == machine {
            let number = Int(vcpus[slot].number)
            if guests[guest].cpus.indices.contains(number) { guests[guest].setVCPU(Int32(slot), of: number) }
        }
        return true
    }

    mutating func guestEvent(
        _ header: EventHeader, in records: borrowing RawSpan, of guest: Int, on cpu: Int, at time: Int64,
        boundNanoseconds: Int64
    ) {
        let slot = Int(guests[guest].cpus[cpu].vcpu)
        if slot >= 0, vcpus[slot].knowsGuestMode {
            let outside = vcpus[slot].guestEvent(at: time, boundNanoseconds: boundNanoseconds)
            if outside > 0 { anomalies.add(.guestEventOutsideEntry, outside) }
        }
        guests[guest].event(header, in: records, on: cpu)
    }
}
