/*
 * How frames are stored and how networks see them, as in the package's experience/frames.py: stored
 * as rows of RGB bytes, seen as floats from -1 to 1, all red values before the green and blue ones.
 */

const CHANNELS = 3;

/** Network value of what lies before a game's first frame: mid-grey. */
export const PADDING = 0;

const AS_FLOAT = Float32Array.from({ length: 256 }, (_, level) => Math.fround(level / 127.5) - 1);

/**
 * A stored frame as a network sees it.
 * @param {Uint8Array} frame
 * @param {Float32Array} [target] to write into
 */
export function toNetwork(frame, target = new Float32Array(frame.length)) {
  const area = frame.length / CHANNELS;
  for (let i = 0; i < area; i += 1) {
    for (let c = 0; c < CHANNELS; c += 1) target[c * area + i] = AS_FLOAT[frame[CHANNELS * i + c]];
  }
  return target;
}

/**
 * A network's frame as it is stored, each value as the nearest of the 256 levels.
 * @param {Float32Array} values
 */
export function toStored(values) {
  const area = values.length / CHANNELS;
  const frame = new Uint8Array(values.length);
  for (let i = 0; i < area; i += 1) {
    for (let c = 0; c < CHANNELS; c += 1) {
      frame[CHANNELS * i + c] = toEven((clamp(values[c * area + i]) + 1) * 127.5);
    }
  }
  return frame;
}

/**
 * Clamped to [-1, 1] and snapped to the 256 levels, staying floats.
 * @param {Float32Array} values
 * @param {boolean} [truncate] round down, as the published code does within the denoiser
 */
export function toPixelGrid(values, truncate = false) {
  const round = truncate ? Math.floor : toEven;
  return values.map((value) => (round(((clamp(value) + 1) / 2) * 255) / 255) * 2 - 1);
}

/** @param {number} value */
const clamp = (value) => Math.min(1, Math.max(-1, value));

/**
 * The nearest whole number, and of two that are equally near the even one, as PyTorch rounds.
 * @param {number} value
 */
function toEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded;
}
