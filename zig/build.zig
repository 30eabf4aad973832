//! `zig build` makes the shared library, `zig build test` runs the contract suite.

const std = @import("std");

pub fn build(b: *std.Build) void {
    const target = b.standardTargetOptions(.{});
    const optimize = b.standardOptimizeOption(.{});
    installLibrary(b, addSharedLibrary(b, target, optimize));
    addTests(b, target, optimize);
}

/// The library alone, in `lib` on every platform: Windows has an import library besides, for linkers, and we have none.
fn installLibrary(b: *std.Build, library: *std.Build.Step.Compile) void {
    const install = b.addInstallArtifact(library, .{
        .dest_dir = .{ .override = .lib },
        .implib_dir = .disabled,
        .pdb_dir = .disabled,
    });
    b.getInstallStep().dependOn(&install.step);
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
            .imports = &.{.{ .name = "build", .module = addBuildFacts(b) }},
        }),
    });
}

/// What the library cannot know of itself. The scripts that build it count the hash over its sources.
fn addBuildFacts(b: *std.Build) *std.Build.Module {
    const hash = b.option([]const u8, "source-hash", "What the sources are, for the library's provenance");
    const facts = b.addOptions();
    facts.addOption([]const u8, "version", @import("build.zig.zon").version);
    facts.addOption([]const u8, "source_hash", hash orelse "unknown");
    return facts.createModule();
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
