//! Where a library file comes from, as one line of text in the file itself: the loader's `doctor` shows it, and so does
//! `strings`. It says nothing of when and where the file was built, so that the same sources give the same bytes.

const builtin = @import("builtin");
const build = @import("build");

/// `name=value` pairs, a blank between them; no value holds one.
pub const text: [:0]const u8 = "bun-reactor " ++ build.version ++
    " zig=" ++ builtin.zig_version_string ++
    " target=" ++ @tagName(builtin.cpu.arch) ++ "-" ++ @tagName(builtin.os.tag) ++
    " optimize=" ++ @tagName(builtin.mode) ++
    " sources=" ++ build.source_hash;
