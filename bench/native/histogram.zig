//! A histogram of latencies with buckets that grow with the value, as HdrHistogram has them.
//!
//! Values below 256 have a bucket each. Above, every power of two is divided into 128 buckets, so a bucket is at most
//! 1/128 of its values wide; a percentile is the middle of its bucket, which is off by less than 0.4 %.

const std = @import("std");

const division_bits = 7;
const divisions = 1 << division_bits;
/// 2^42 ns is more than an hour, longer than any run.
const largest_bits = 42;
const bucket_count = (largest_bits - division_bits + 1) * divisions;

pub const Histogram = struct {
    counts: [bucket_count]u64 = @splat(0),
    total: u64 = 0,
    largest: u64 = 0,

    pub fn record(histogram: *Histogram, value: u64) void {
        histogram.counts[bucketOf(@min(value, (1 << largest_bits) - 1))] += 1;
        histogram.total += 1;
        histogram.largest = @max(histogram.largest, value);
    }

    /// The value that `fraction` (0 to 1) of all values do not exceed; 0 when there are none.
    pub fn percentile(histogram: *const Histogram, fraction: f64) u64 {
        const rank: u64 = @max(1, @as(u64, @intFromFloat(@ceil(fraction * @as(f64, @floatFromInt(histogram.total))))));
        var seen: u64 = 0;
        for (histogram.counts, 0..) |count, bucket| {
            seen += count;
            if (seen >= rank) return @min(middleOf(bucket), histogram.largest);
        }
        return histogram.largest;
    }
};

fn bucketOf(value: u64) usize {
    if (value < 2 * divisions) return @intCast(value);
    const exponent: u6 = @intCast(63 - @clz(value));
    const shift = exponent - division_bits;
    return @as(usize, shift) * divisions + @as(usize, @intCast(value >> shift));
}

fn middleOf(bucket: usize) u64 {
    if (bucket < 2 * divisions) return bucket;
    const shift: u6 = @intCast(bucket / divisions - 1);
    const first = @as(u64, bucket % divisions + divisions) << shift;
    return first + ((@as(u64, 1) << shift) - 1) / 2;
}

test "percentiles are within 0.4 % of the exact ones" {
    var histogram: Histogram = .{};
    for (1..1_000_001) |value| histogram.record(value * 10);
    for ([_]f64{ 0.001, 0.5, 0.99, 0.999, 1 }) |fraction| {
        const exact = fraction * 10_000_000;
        const found: f64 = @floatFromInt(histogram.percentile(fraction));
        try std.testing.expectApproxEqRel(exact, found, 0.004);
    }
    try std.testing.expectEqual(10_000_000, histogram.largest);
}

test "every value falls into the bucket whose middle is nearest" {
    for ([_]u64{ 0, 1, 255, 256, 257, 511, 512, 1023, 1024, 123_456_789, (1 << largest_bits) - 1 }) |value| {
        const middle: f64 = @floatFromInt(middleOf(bucketOf(value)));
        try std.testing.expectApproxEqRel(@as(f64, @floatFromInt(value)), middle, 0.004);
    }
}
