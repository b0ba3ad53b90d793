/** The frames of a connection whose purpose is objects; see `transfer.ts`. */
export const PULL = 1;
export const FOUND = 2;
export const MISSING = 3;
export const DATA = 4;
export const HERE = 5;
export const STILL = 6;
