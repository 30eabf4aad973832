// What a program would do without this package.

await Bun.sleep(1);
console.log("hello");

export {};
