// Nothing: what a Bun process costs by itself.

export {};
