/** The types of arguments and results, by the names that the tables of functions have for them. */

export const i32 = "i32";
export const u32 = "u32";
export const f64 = "f64";
/** A pointer to the memory of a view, valid for the call. */
export const view = "ptr";
/** A pointer to text that ends with a zero and stays where it is. */
export const text = "cstring";
/** The address of native memory. */
export const address = "ptr";
export const nothing = "void";
