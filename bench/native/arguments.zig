//! Command line arguments of the native bench programs: a structure whose fields are the arguments.
//!
//! `message_bytes: u64 = 64` is given as `--message-bytes 64`; a `bool` field is a flag without a value.

const std = @import("std");
const fail = @import("system.zig").fail;

pub fn parse(comptime Arguments: type, vector: []const [*:0]const u8) Arguments {
    var arguments: Arguments = .{};
    var index: usize = 1;
    while (index < vector.len) : (index += 1) {
        const name = std.mem.span(vector[index]);
        const value: ?[]const u8 = if (index + 1 < vector.len) std.mem.span(vector[index + 1]) else null;
        if (set(Arguments, &arguments, name, value)) index += 1;
    }
    return arguments;
}

/// Whether the argument took its value.
fn set(comptime Arguments: type, arguments: *Arguments, name: []const u8, value: ?[]const u8) bool {
    inline for (@typeInfo(Arguments).@"struct".fields) |field| {
        if (std.mem.eql(u8, name, flag(field.name))) {
            if (field.type == bool) {
                @field(arguments, field.name) = true;
                return false;
            }
            const text = value orelse fail("{s} needs a value", .{name});
            @field(arguments, field.name) = parseValue(field.type, name, text);
            return true;
        }
    }
    fail("unknown argument {s}; known are{s}", .{ name, comptime flags(Arguments) });
}

fn parseValue(comptime Value: type, name: []const u8, text: []const u8) Value {
    if (Value == []const u8) return text;
    const Number = if (@typeInfo(Value) == .optional) @typeInfo(Value).optional.child else Value;
    return std.fmt.parseInt(Number, text, 10) catch
        fail("{s} must be a whole number from 0 to {d}, not {s}", .{ name, std.math.maxInt(Number), text });
}

fn flags(comptime Arguments: type) []const u8 {
    var all: []const u8 = "";
    for (@typeInfo(Arguments).@"struct".fields) |field| all = all ++ " " ++ flag(field.name);
    return all;
}

fn flag(comptime field: []const u8) []const u8 {
    return "--" ++ comptime dashed(field);
}

fn dashed(comptime field: []const u8) *const [field.len]u8 {
    var name: [field.len]u8 = undefined;
    _ = std.mem.replace(u8, field, "_", "-", &name);
    const finished = name;
    return &finished;
}
