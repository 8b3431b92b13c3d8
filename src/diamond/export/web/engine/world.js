/*
 * One step of the dream as a function of a moment, the settings and the noise, and what the agent
 * makes of a frame, as in the package's play/game/worlds.py and imagination/dream.py.
 */

import { PADDING, toNetwork, toPixelGrid, toStored } from './pixels.js';
import { stream } from './random.js';
import { sample } from './sampler.js';

/** @typedef {{hidden: Float32Array, cell: Float32Array}} Memory */
/** @typedef {import('./types.js').Facts} Facts */
/** @typedef {import('./types.js').Settings} Settings */

/**
 * @typedef {object} Past the last frames of a game, newest last
 * @property {Uint8Array[]} frames
 * @property {number[]} actions those between the frames, one fewer
 */

/**
 * @typedef {object} Dream all that decides how a dream goes on, but for settings and noise
 * @property {Past} past
 * @property {Memory} memory the reward and termination model's
 * @property {{
 *   steps: number,
 *   reward: number,
 *   return: number,
 *   termination: ?number,
 *   ended: ?('terminated'|'horizon'),
 * }} tally
 */

/**
 * @typedef {object} Noise the randomness of one step
 * @property {Float32Array} initial standard normal
 * @property {?Float32Array[]} churn standard normal, one image a denoising step
 * @property {number} reward uniform in [0, 1)
 * @property {number} termination likewise
 */

/**
 * @param {Facts} facts
 * @param {import('./models.js').Models} models
 */
export function createWorld(facts, models) {
  const { context_length: length, height, width, published } = facts;
  const size = 3 * height * width;

  /**
   * The sampler under these settings.
   * @param {Settings} settings
   * @returns {import('./sampler.js').Sampler}
   */
  const samplerFor = (settings) => ({
    ...facts.sampler,
    num_steps: settings.denoising_steps,
    order: settings.order,
    s_churn: settings.churn,
  });

  /**
   * The last frames and actions as the networks take them; before a game's start is padding.
   * @param {Past} past
   */
  function contextOf({ frames, actions }) {
    const missing = length - frames.length;
    const seen = new Float32Array(length * size).fill(PADDING, 0, missing * size);
    /** @param {number} i */
    const frameAt = (i) => seen.subarray(i * size, (i + 1) * size);
    for (const [i, frame] of frames.entries()) toNetwork(frame, frameAt(missing + i));
    const taken = Int32Array.from({ length }, (_, i) => actions[i - missing] ?? 0);
    return { seen, taken, frameAt };
  }

  return {
    /**
     * Goes on dreaming from real frames, or from a picture.
     * @param {Past} past
     * @returns {Promise<Dream>}
     */
    async begin(past) {
      const { taken, frameAt } = contextOf(past);
      let memory = blank(facts.memory.reward_model);
      for (let i = 0; i + 1 < length; i += 1) {
        ({ memory } = await models.judge(frameAt(i), taken[i], frameAt(i + 1), memory));
      }
      const tally = { steps: 0, reward: 0, return: 0, termination: null, ended: null };
      return { past, memory, tally };
    },

    /**
     * The randomness of a step.
     * @param {Settings} settings
     * @param {...(string|number)} names what it is to be the same for
     * @returns {Noise}
     */
    drawNoise(settings, ...names) {
      const { uniform, normals } = stream(settings.seed, ...names);
      const initial = normals(size);
      const churned = () => Array.from({ length: settings.denoising_steps }, () => normals(size));
      const churn = settings.churn > 0 ? churned() : null;
      return { initial, churn, reward: uniform(), termination: uniform() };
    },

    /**
     * The next moment, and how its frame came out of noise.
     * @param {Dream} dream
     * @param {number} action
     * @param {Settings} settings
     * @param {Noise} noise
     * @returns {Promise<{dream: Dream, images: Uint8Array[]}>}
     */
    async step({ past, memory, tally }, action, settings, noise) {
      const { seen, taken, frameAt } = contextOf(past);
      taken[length - 1] = action;
      /**
       * @param {Float32Array} noisy
       * @param {number} sigma
       */
      const denoise = async (noisy, sigma) =>
        toPixelGrid(await models.denoise(noisy, sigma, seen, taken), published);
      const initial = noise.initial.map((value) => value * settings.start_noise);
      const sampler = samplerFor(settings);
      const images = await sample(denoise, initial, sampler, noise.churn, published);
      const next = toPixelGrid(images[images.length - 1]);
      const judged = await models.judge(frameAt(length - 1), action, next, memory);
      const steps = tally.steps + 1;
      const reward = draw(softmax(judged.reward), noise.reward) - 1;
      const termination = softmax(judged.termination);
      /** @type {Dream['tally']['ended']} */
      let ended = null;
      if (draw(termination, noise.termination) === 1) ended = 'terminated';
      else if (settings.horizon && steps >= settings.horizon) ended = 'horizon';
      const sum = tally.return + reward;
      return {
        dream: {
          past: after(past, action, toStored(next), length),
          memory: judged.memory,
          tally: { steps, reward, return: sum, termination: termination[1], ended },
        },
        images: images.map(toStored),
      };
    },

    /**
     * What the agent makes of the newest frame, given its memory of those before.
     * @param {Uint8Array} frame
     * @param {Memory} memory
     */
    look: (frame, memory) => models.look(toNetwork(frame), memory),

    /**
     * The same where it has seen nothing yet: first it looks at the frames before.
     * @param {Past} past
     */
    async firstLook({ frames }) {
      const [oldest, ...later] = frames;
      let seen = await models.look(toNetwork(oldest), blank(facts.memory.actor_critic));
      for (const frame of later) seen = await models.look(toNetwork(frame), seen.memory);
      return seen;
    },
  };
}

/**
 * A distribution from logits divided by a temperature.
 * @param {Float32Array} logits
 * @param {number} [temperature]
 */
export function softmax(logits, temperature = 1) {
  const most = Math.max(...logits);
  const weights = Array.from(logits, (logit) => Math.exp((logit - most) / temperature));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/**
 * The class that a number in [0, 1) falls into.
 * @param {number[]} probabilities
 * @param {number} uniform
 */
export function draw(probabilities, uniform) {
  let [chosen, sum] = [0, probabilities[0]];
  while (chosen + 1 < probabilities.length && sum <= uniform) {
    chosen += 1;
    sum += probabilities[chosen];
  }
  return chosen;
}

/**
 * @param {number} size
 * @returns {Memory}
 */
const blank = (size) => ({ hidden: new Float32Array(size), cell: new Float32Array(size) });

/**
 * With one more frame, of which the last `most` are kept.
 * @param {Past} past
 * @param {number} action
 * @param {Uint8Array} frame
 * @param {number} most
 * @returns {Past}
 */
function after({ frames, actions }, action, frame, most) {
  const kept = [...frames, frame].slice(-most);
  return { frames: kept, actions: [...actions, action].slice(actions.length + 2 - kept.length) };
}
