/*
 * One game with its past: it acts, rewinds and branches, as in the package's play/game/session.py.
 * It knows nothing of clocks and pages. Every frame shown is a moment, which holds all that decides
 * how the game goes on; going back means to step from an older one.
 */

import { actionFor } from './buttons.js';
import { pick, stream } from './random.js';
import { changed } from './settings.js';
import { draw, softmax } from './world.js';

/** Frames that can be gone back to. */
const REMEMBERED = 3000;

/** @typedef {import('./types.js').Settings} Settings */
/** @typedef {import('./world.js').Past} Past */

/**
 * @typedef {import('./models.js').Look & {policy: number[], entropy: number}} Opinion what the agent
 *   thinks of a frame
 */

/**
 * @typedef {object} Moment
 * @property {number} frame counts up; after a rewind it counts on from there
 * @property {number} game counts the starts since the seed was set; names the noise
 * @property {import('./world.js').Dream} dream
 * @property {Opinion} opinion of the newest frame
 * @property {?number} action what led here; null for the first frame of a game
 * @property {Settings['player']} player
 */

/**
 * @param {import('./types.js').Facts} facts
 * @param {Past[]} starts
 * @param {ReturnType<typeof import('./world.js').createWorld>} world
 */
export async function createSession(facts, starts, world) {
  const { actions, ranges } = facts;
  /** @type {Moment[]} */
  const moments = [];
  let settings = facts.settings;
  let place = -1; // of the moment shown, among those kept
  /** @type {Uint8Array[]} */
  let denoising = [];

  const now = () => moments[place];
  const kept = () => [moments[0].frame, moments[moments.length - 1].frame];

  /**
   * A frame's number is its place, so a new one goes where those after the present one were.
   * @param {Moment} moment
   */
  function append(moment) {
    moments.length = place + 1;
    if (moment.action === null) denoising = [];
    moments.push(moment);
    if (moments.length > REMEMBERED) moments.shift();
    place = moments.length - 1;
  }

  /**
   * @param {import('./models.js').Look} look
   * @returns {Opinion}
   */
  function opinionOf({ logits, value, memory }) {
    const policy = softmax(logits, settings.temperature);
    const entropy = policy.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
    return { logits, value, memory, policy, entropy };
  }

  /**
   * @param {Past} past
   * @param {number} frame
   * @param {number} game
   */
  async function begin(past, frame, game) {
    const dream = await world.begin(past);
    const opinion = opinionOf(await world.firstLook(past));
    append({ frame, game, dream, opinion, action: null, player: settings.player });
  }

  /**
   * @param {number} frame
   * @param {number} game
   */
  function newGame(frame, game) {
    const { seed, start } = settings;
    return begin(starts[start < 0 ? pick(starts.length, seed, 'start', game) : start], frame, game);
  }

  const reset = () => newGame(now().frame + 1, now().game + 1);

  /**
   * @param {Moment} moment
   * @param {string[]} held
   */
  function choose({ game, opinion, dream }, held) {
    if (settings.player === 'human') return actionFor(held, actions);
    const { uniform } = stream(settings.seed, 'action', game, dream.tally.steps);
    const alike = actions.map(() => 1 / actions.length);
    return draw(settings.player === 'random' ? alike : opinion.policy, uniform());
  }

  await newGame(0, 0);
  return {
    get settings() {
      return settings;
    },

    /** What there is to see now: a frame's header without times, and the pixels of each view. */
    get picture() {
      const { frame, opinion, action, player, dream } = now();
      const { height, width } = facts;
      const steps = settings.show_denoising ? denoising : [];
      /** @type {import('../protocol.js').View[]} */
      const views = [
        { name: 'dream', height, width, ...dream.tally },
        ...steps.map((_, i) => ({ name: i === 0 ? 'noise' : `step ${i}`, height, width })),
      ];
      const { policy, value, entropy } = opinion;
      const [oldest, newest] = kept();
      return {
        header: { frame, oldest, newest, player, action, policy, value, entropy, views },
        pixels: [newestOf(dream.past), ...steps],
      };
    },

    /**
     * The next frame; after the last one of a game, the start of the next.
     * @param {string[]} held the player's buttons, the newest press last
     */
    async advance(held) {
      const before = now();
      if (before.dream.tally.ended !== null) {
        await reset();
        return;
      }
      const action = choose(before, held);
      const noise = world.drawNoise(settings, 'dream', before.game, before.dream.tally.steps);
      const { dream, images } = await world.step(before.dream, action, settings, noise);
      const seen = await world.look(newestOf(dream.past), before.opinion.memory);
      const { game, frame } = before;
      const { player } = settings;
      denoising = images;
      append({ frame: frame + 1, game, dream, opinion: opinionOf(seen), action, player });
    },

    /**
     * Turns one setting; another seed or start begins a new game.
     * @param {string} name
     * @param {unknown} value
     * @throws {RangeError}
     */
    async set(name, value) {
      settings = changed(settings, name, value, ranges);
      if (name === 'seed') await newGame(now().frame + 1, 0);
      else if (name === 'start') await reset();
      else if (name === 'temperature') {
        moments[place] = { ...now(), opinion: opinionOf(now().opinion) };
      }
    },

    reset,

    /**
     * Shows an earlier frame, from which the next one branches off.
     * @param {number} to
     * @throws {RangeError} it is not kept
     */
    rewind(to) {
      const [oldest, newest] = kept();
      if (!Number.isInteger(to) || to < oldest || to > newest) {
        throw new RangeError(`frame is ${to}: those from ${oldest} to ${newest} are kept`);
      }
      place = to - oldest;
      denoising = [];
      settings = { ...settings, paused: true };
    },

    /**
     * Begins a dream from a picture of the game's size.
     * @param {Uint8Array} image
     * @throws {RangeError} it is of another size
     */
    async startFrom(image) {
      const bytes = 3 * facts.height * facts.width;
      if (image.length !== bytes) {
        throw new RangeError(`picture has ${image.length} bytes: give ${bytes}`);
      }
      await begin({ frames: [image], actions: [] }, now().frame + 1, now().game + 1);
    },
  };
}

/** @param {Past} past */
const newestOf = ({ frames }) => frames[frames.length - 1];
