comptime {
    @compileError("this platform's part is not written yet");
}
