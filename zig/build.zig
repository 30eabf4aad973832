//! `zig build` makes the shared library, `zig build test` runs the contract suite.

const std = @import("std");

pub fn build(b: *std.Build) void {
    const target = b.standardTargetOptions(.{});
    const optimize = b.standardOptimizeOption(.{});
    b.installArtifact(addSharedLibrary(b, target, optimize));
    addTests(b, target, optimize);
}

fn addSharedLibrary(
    b: *std.Build,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
) *std.Build.Step.Compile {
    return b.addLibrary(.{
        .name = "bun_reactor",
        .linkage = .dynamic,
        .root_module = b.createModule(.{
            .root_source_file = b.path("src/abi.zig"),
            .target = target,
            .optimize = optimize,
            .strip = optimize != .Debug,
            // The reactor thread and the executor's thread are both inside the library at once.
            .single_threaded = false,
            .link_libc = false,
        }),
    });
}

fn addTests(b: *std.Build, target: std.Build.ResolvedTarget, optimize: std.builtin.OptimizeMode) void {
    const library = b.createModule(.{
        .root_source_file = b.path("src/library.zig"),
        .target = target,
        .optimize = optimize,
    });
    const tests = b.addTest(.{
        .root_module = b.createModule(.{
            .root_source_file = b.path("test/contract.zig"),
            .target = target,
            .optimize = optimize,
            .imports = &.{.{ .name = "library", .module = library }},
        }),
        .test_runner = .{ .path = b.path("test/runner.zig"), .mode = .simple },
    });
    const run = b.addRunArtifact(tests);
    if (b.args) |filters| run.addArgs(filters);
    b.step("test", "Run the contract suite; arguments behind -- choose tests by parts of their names").dependOn(&run.step);
    b.step("compile-test", "Compile the contract suite, also for a system that cannot run here").dependOn(&tests.step);
}
