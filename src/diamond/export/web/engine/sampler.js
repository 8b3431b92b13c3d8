/*
 * Drawing a frame by following the noise down, as in the package's diffusion/samplers.py (Karras et
 * al. 2022, equation 5 and algorithm 2). All that is random comes in as an argument.
 */

/**
 * @typedef {object} Sampler
 * @property {number} num_steps
 * @property {number} order 1 Euler, 2 Heun
 * @property {number} sigma_min
 * @property {number} sigma_max
 * @property {number} rho
 * @property {number} s_churn
 * @property {number} s_tmin
 * @property {?number} s_tmax null for no limit
 * @property {number} s_noise
 */

/**
 * The noise levels visited, then 0.
 * @param {Sampler} sampler
 */
export function noiseSchedule({ num_steps: count, sigma_min: least, sigma_max: most, rho }) {
  const [low, high] = [least ** (1 / rho), most ** (1 / rho)];
  const last = count - 1;
  /**
   * @param {unknown} _
   * @param {number} i
   */
  const level = (_, i) => {
    if (i === 0) return most;
    return i === last ? least : (high + (i / last) * (low - high)) ** rho;
  };
  return [...Array.from({ length: count }, level), 0];
}

/**
 * The images after 0, 1, .. all steps; the last one is the sample.
 * @param {(noisy: Float32Array, sigma: number) => Promise<Float32Array>} denoise
 * @param {Float32Array} initial the image to start from
 * @param {Sampler} sampler
 * @param {?Float32Array[]} churnNormals standard normal draws, one image a step; null without churn
 * @param {boolean} published tell the denoiser the level before churn, as the published code does
 */
export async function sample(denoise, initial, sampler, churnNormals, published) {
  const { num_steps: count, order, s_churn, s_tmin, s_tmax, s_noise } = sampler;
  const sigmas = noiseSchedule(sampler);
  const gamma = Math.min(s_churn / count, Math.SQRT2 - 1);
  const images = [initial];
  let x = initial;
  for (let step = 0; step < count; step += 1) {
    const [sigma, nextSigma] = [sigmas[step], sigmas[step + 1]];
    let churned = sigma;
    const isChurned = gamma > 0 && s_tmin <= sigma && sigma <= (s_tmax ?? Infinity);
    if (isChurned && churnNormals) {
      churned = sigma * (1 + gamma);
      const strength = s_noise * Math.sqrt(churned ** 2 - sigma ** 2);
      const normals = churnNormals[step];
      x = x.map((value, i) => value + strength * normals[i]);
    }
    const slope = slopeAt(x, await denoise(x, published ? sigma : churned), churned);
    const euler = moved(x, slope, nextSigma - churned);
    if (order === 1 || nextSigma === 0) {
      x = euler;
    } else {
      const nextSlope = slopeAt(euler, await denoise(euler, nextSigma), nextSigma);
      const both = slope.map((value, i) => value + nextSlope[i]);
      x = moved(x, both, 0.5 * (nextSigma - churned));
    }
    images.push(x);
  }
  return images;
}

/**
 * @param {Float32Array} x
 * @param {Float32Array} denoised
 * @param {number} sigma
 */
const slopeAt = (x, denoised, sigma) => x.map((value, i) => (value - denoised[i]) / sigma);

/**
 * @param {Float32Array} x
 * @param {Float32Array} slope
 * @param {number} by
 */
const moved = (x, slope, by) => x.map((value, i) => value + slope[i] * by);
