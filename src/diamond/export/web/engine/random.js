/*
 * Random numbers that follow from a seed and from what they are for, so that the same seed and
 * buttons give the same dream again. They are not those of PyTorch.
 */

/**
 * Numbers for one use.
 * @param {number} seed
 * @param {...(string|number)} names what they are for
 * @returns {{uniform: () => number, normals: (count: number) => Float32Array}} `uniform` is in
 *   [0, 1)
 */
export function stream(seed, ...names) {
  const next = sfc32([1, 2, 3].map((salt) => hash(JSON.stringify([salt, seed, ...names]))));
  const uniform = () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;

  /**
   * Two at a time, by the transformation of Box and Muller.
   * @param {number} count
   */
  function normals(count) {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      const angle = 2 * Math.PI * uniform();
      values[i] = radius * Math.cos(angle);
      if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
    }
    return values;
  }
  return { uniform, normals };
}

/**
 * A whole number from 0 to `count` - 1.
 * @param {number} count
 * @param {number} seed
 * @param {...(string|number)} names
 */
export const pick = (count, seed, ...names) => Math.floor(stream(seed, ...names).uniform() * count);

/**
 * FNV-1a over the text, with the last rounds of MurmurHash3, which spread it over all 32 bits.
 * @param {string} text
 */
function hash(text) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/**
 * Chris Doty-Humphrey's small fast counting generator with 32 bits.
 * @param {number[]} seed three whole numbers of 32 bits
 */
function sfc32([a, b, c]) {
  let counter = 1;
  function next() {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
  for (let i = 0; i < 12; i += 1) next();
  return next;
}
