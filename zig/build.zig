//! `zig build` makes the shared library, `zig build test` runs the contract suite.
//!
//! `-Dtarget=` builds for another system: the library is made for all of them on any machine. `-Dqueue=kqueue` with
//! `-Dkqueue-lib-dir=DIR` runs the contract suite on Linux over the kqueue(2) of `libkqueue` in that folder.

const std = @import("std");

pub fn build(b: *std.Build) void {
    const target = b.standardTargetOptions(.{});
    const optimize = b.standardOptimizeOption(.{});
    const queue_name = b.option(QueueName, "queue", "The event queue that the contract suite runs over") orelse .native;
    const kqueue_folder = b.option([]const u8, "kqueue-lib-dir", "The folder of a libkqueue, for -Dqueue=kqueue on Linux");
    installLibrary(b, addSharedLibrary(b, target, optimize));
    addTests(b, target, optimize, if (queue_name == .kqueue) chosenKqueue(b, target, kqueue_folder) else null);
}

/// `native` is that of the operating system.
const QueueName = enum { native, kqueue };

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
    const must_fit_page = hasLargePages(target) and optimize == .ReleaseFast;
    return b.addLibrary(.{
        .name = "bun_reactor",
        .linkage = .dynamic,
        .root_module = b.createModule(.{
            .root_source_file = b.path("src/abi.zig"),
            .target = target,
            .optimize = if (must_fit_page) .ReleaseSmall else optimize,
            .unwind_tables = if (must_fit_page) .none else null,
            .strip = optimize != .Debug,
            // The reactor thread and the executor's thread are both inside the library at once.
            .single_threaded = false,
            .link_libc = needsLibc(target),
            .imports = &.{ optionsOf(b, false), .{ .name = "build", .module = addBuildFacts(b) } },
        }),
    });
}

/// On arm64 macOS each part of a file begins on a page of 16 KiB, and there are four: code, two of pointers and the
/// names. Code that does not fit into one page would take a second one with some hundred bytes of it.
fn hasLargePages(target: std.Build.ResolvedTarget) bool {
    return target.result.os.tag == .macos and target.result.cpu.arch == .aarch64;
}

/// Where the C library is the system's interface. Linux has one of its own, and the library is the same for all C
/// libraries.
fn needsLibc(target: std.Build.ResolvedTarget) bool {
    return switch (target.result.os.tag) {
        .macos, .freebsd => true,
        else => false,
    };
}

fn optionsOf(b: *std.Build, has_kqueue_library: bool) std.Build.Module.Import {
    const options = b.addOptions();
    options.addOption(bool, "has_kqueue_library", has_kqueue_library);
    return .{ .name = "options", .module = options.createModule() };
}

/// The folder of the implementation, or null if the system has its own.
fn chosenKqueue(b: *std.Build, target: std.Build.ResolvedTarget, folder: ?[]const u8) ?std.Build.LazyPath {
    switch (target.result.os.tag) {
        .macos, .freebsd => return null,
        .linux => {},
        else => |os| std.process.fatal("-Dqueue=kqueue: there is no kqueue(2) on {t}", .{os}),
    }
    const path = folder orelse std.process.fatal("-Dqueue=kqueue needs -Dkqueue-lib-dir=DIR on Linux: the folder of libkqueue.so", .{});
    return .{ .cwd_relative = b.pathFromRoot(path) };
}

/// What the library cannot know of itself. The scripts that build it count the hash over its sources.
fn addBuildFacts(b: *std.Build) *std.Build.Module {
    const hash = b.option([]const u8, "source-hash", "What the sources are, for the library's provenance");
    const facts = b.addOptions();
    facts.addOption([]const u8, "version", @import("build.zig.zon").version);
    facts.addOption([]const u8, "source_hash", hash orelse "unknown");
    return facts.createModule();
}

fn addTests(
    b: *std.Build,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
    kqueue_folder: ?std.Build.LazyPath,
) void {
    const options = optionsOf(b, kqueue_folder != null);
    const library = b.createModule(.{
        .root_source_file = b.path("src/library.zig"),
        .target = target,
        .optimize = optimize,
        .link_libc = needsLibc(target) or kqueue_folder != null,
        .imports = &.{options},
    });
    if (kqueue_folder) |folder| {
        library.addLibraryPath(folder);
        library.addRPath(folder);
        library.linkSystemLibrary("kqueue", .{ .use_pkg_config = .no });
    }
    const tests = b.addTest(.{
        .root_module = b.createModule(.{
            .root_source_file = b.path("test/contract.zig"),
            .target = target,
            .optimize = optimize,
            .imports = &.{ .{ .name = "library", .module = library }, options },
        }),
        .test_runner = .{ .path = b.path("test/runner.zig"), .mode = .simple },
    });
    const run = b.addRunArtifact(tests);
    if (b.args) |filters| run.addArgs(filters);
    b.step("test", "Run the contract suite; arguments behind -- choose tests by parts of their names").dependOn(&run.step);
    b.step("compile-test", "Compile the contract suite, also for a system that cannot run here").dependOn(&tests.step);
}
