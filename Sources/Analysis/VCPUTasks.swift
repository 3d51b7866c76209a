import TraceModel

/// What the events of its guest tell one vCPU: which task is current on it, and whether they lie where they can only lie.
extension VCPU {
    /// A guest event of this vCPU.
    mutating func guestEvent(at time: Int64, boundNanoseconds: Int64) {
        switch state {
        case .running, .onCPU, .unknown: containment.inside(at: time)
        case .hypervisor, .userspace, .polling, .preempted, .waking, .halted, .blocked:
            containment.outside(at: time, boundNanoseconds: boundNanoseconds)
        }
    }

    /// How many guest events were proved to lie outside of guest mode, since the last time this was asked.
    mutating func takeEventsOutside() -> UInt64 { containment.takeProved() }

    /// An agent tells of the guest's tasks from now on, or ceased to.
    mutating func follow(tasks isFollowed: Bool, from time: Int64) {
        guestIsIdle = nil
        guard isFollowed != followsTasks else { return }
        followsTasks = isFollowed
        overlay = Overlay(since: max(time, settled))
    }

    /// The guest switches tasks, or it is not known any more which one is current. `overlay` then holds what this vCPU did
    /// while the former one was, until `beginTask`.
    mutating func endTask(_ kind: GuestRunning.Kind, at time: Int64, boundNanoseconds: Int64) {
        guard followsTasks else { return }
        // On a vCPU that ended, no task gets anything.
        let time = phase == .live ? time : since
        overlay.switched(in: state, at: time, exit: exits.exit(of: currentExit), bound: boundNanoseconds)
        guestRunning.add(overlay.inside, uncertain: overlay.uncertainInside, of: kind)
        guestRunning.switched(at: time, boundNanoseconds: boundNanoseconds)
    }

    /// The next task is current from here on; nil when it is not known which.
    mutating func beginTask(isIdle: Bool?) {
        guestIsIdle = isIdle
        if followsTasks { overlay.begin() }
    }

    /// Whether the guest's switches around the interval that goes on are closer to its ends than the clock's error.
    func isTaskUncertain(at time: Int64) -> Bool {
        guestRunning.isUncertain(at: time) || time &- since < overlay.bound
    }
}
