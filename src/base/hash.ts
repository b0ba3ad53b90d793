/** A 96-bit hash of a short text as 24 hex digits: three 32-bit FNV-style lanes with a final mix. Not for security. */
export function hash96(text: string): string {
  return lane(text, 0x811c9dc5) + lane(text, 0x01000193) + lane(text, 0x9e3779b9);
}

function lane(text: string, seed: number): string {
  let h = seed;
  for (let i = 0; i < text.length; i++) {
    h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
    h ^= h >>> 15;
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0).toString(16).padStart(8, "0");
}
