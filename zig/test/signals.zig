//! A signal ends a wait with `-EINTR`: the caller alone knows its deadline, and a runtime that stops a thread with a
//! signal needs to get it back.

const std = @import("std");
const support = @import("support.zig");

const BlockedPoll = support.BlockedPoll;
const Errno = support.Errno;
const Handler = system.Handler;
const Pair = support.Pair;
const Poller = support.Poller;
const SignalStorm = system.SignalStorm;
const system = support.system;

const token = support.tokenOf(1);

test "a signal to the polling thread ends the poll with EINTR" {
    if (!support.features.has_signals) return support.skip("this system interrupts no call with a signal");
    var handler: Handler = .install(.user);
    defer handler.remove();
    for ([_]i64{ support.queue.forever, 10 * support.patience_ns }) |timeout_ns| {
        for (support.waits) |wait| try expectInterrupted(timeout_ns, wait);
    }
}

test "an interval timer ends the poll of its own thread with EINTR" {
    if (!support.features.has_signals) return support.skip("this system interrupts no call with a signal");
    var handler: Handler = .install(.user);
    defer handler.remove();
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    var storm: SignalStorm = undefined;
    try storm.start(storm_interval_ns);
    defer storm.stop();

    poller.armGuard();
    const result = poller.poll(support.queue.forever);
    storm.pause();
    try poller.disarmGuard();
    try support.expectResult(-Errno.interrupted, result);
}

test "a caller that waits again for the rest keeps its deadline through a storm of signals" {
    if (!support.features.has_signals) return support.skip("this system interrupts no call with a signal");
    var handler: Handler = .install(.user);
    defer handler.remove();
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    var storm: SignalStorm = undefined;
    try storm.start(storm_interval_ns);
    defer storm.stop();

    const deadline_ns = support.clock.monotonicNow_ns() + 20 * std.time.ns_per_ms;
    while (true) {
        const rest_ns = deadline_ns - support.clock.monotonicNow_ns();
        if (rest_ns <= 0) break;
        const result = poller.poll(rest_ns);
        if (result == -Errno.interrupted) continue;
        try support.expectResult(0, result);
        try std.testing.expect(support.clock.monotonicNow_ns() >= deadline_ns);
    }
}

test "no event and no wake is lost to a storm of signals" {
    if (!support.features.has_signals) return support.skip("this system interrupts no call with a signal");
    var handler: Handler = .install(.user);
    defer handler.remove();
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();
    var storm: SignalStorm = undefined;
    try storm.start(storm_interval_ns);
    defer storm.stop();

    try poller.register(pair.own, token, support.readable, .edge);
    for (0..500) |_| {
        try pair.peerWrites("a");
        try support.expectResult(1, waitThroughSignals(&poller));
        try support.expectEntry(token, support.readable, poller.take().?);
        try support.expectRead(pair.own, "a");
        try poller.wake();
        try support.expectResult(0, waitThroughSignals(&poller));
    }
}

test "a poll that does not wait is not interrupted" {
    if (!support.features.has_signals) return support.skip("this system interrupts no call with a signal");
    var handler: Handler = .install(.user);
    defer handler.remove();
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    var storm: SignalStorm = undefined;
    try storm.start(storm_interval_ns);
    defer storm.stop();
    for (0..20_000) |_| try poller.expectNothing();
}

/// Ten thousand signals a second.
const storm_interval_ns = 100 * std.time.ns_per_us;

fn expectInterrupted(timeout_ns: i64, wait: support.Wait) !void {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    poller.chooseWait(wait);
    var blocked: BlockedPoll = undefined;
    try blocked.startFor(&poller, timeout_ns);
    // Again and again until it worked, so that it does not matter when the thread takes the signal.
    while (!blocked.is_done.load(.acquire)) {
        try system.signalThread(blocked.native_thread);
        support.yield();
    }
    try support.expectResult(-Errno.interrupted, try blocked.join());
}

fn waitThroughSignals(poller: *Poller) i32 {
    while (true) {
        const result = poller.poll(support.patience_ns);
        if (result != -Errno.interrupted) return result;
    }
}
