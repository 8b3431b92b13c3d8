/*
 * The dialog in which a recording is watched again. All its pictures are fetched at once, so that
 * the slider shows each in the moment it comes to it. While the dialog is open its keys count and
 * those of the game do not.
 */

import { byId, numberText, setText } from './page.js';
import { decodeFilm } from './protocol.js';
import { courseText, sceneText } from './recordings.js';
import { picture } from './screen.js';
import { addressOf, ask } from './server.js';

const LEAST_MARK = 0.35;

/** @typedef {import('./protocol.js').Recording} Recording */

/**
 * @typedef {ReturnType<typeof sums> & {
 *   pixels: Uint8Array[],
 *   actions: number[],
 *   fps: number,
 *   draw: (rgb: Uint8Array) => void,
 * }} Playing the recording that is watched
 */

/**
 * @param {object} parts
 * @param {() => void} parts.onOpen called before the game's keys stop to count
 * @param {(text: string, isProblem: boolean) => void} parts.tell shows a notice to the player
 * @returns {{
 *   start: (hello: import('./protocol.js').Hello) => void,
 *   open: (recording: Recording) => Promise<void>,
 *   isOpen: () => boolean,
 * }}
 */
export function createReplayer({ onOpen, tell }) {
  const dialog = byId('replay', HTMLDialogElement);
  const slider = byId('replay-step', HTMLInputElement);
  const play = byId('replay-play');
  /** @type {string[]} */
  let names = [];
  /** @type {?Recording} */
  let wanted = null;
  /** @type {?Playing} */
  let film = null;
  let last = 0;
  let step = 0;
  let timer = 0;

  /** @param {Recording} recording */
  async function open(recording) {
    wanted = recording;
    try {
      const path = `recordings/${recording.number}`;
      const content = await ask(path, (response) => response.arrayBuffer());
      if (wanted === recording && !dialog.open) show(recording, content);
    } catch (problem) {
      tell(/** @type {Error} */ (problem).message, true);
    }
  }

  /**
   * @param {Recording} recording
   * @param {ArrayBuffer} content of its film
   */
  function show(recording, content) {
    const { header, pixels } = decodeFilm(content);
    const title = `Recording ${recording.number}`;
    const { canvas, draw } = picture({ name: 'replay', ...header }, title);
    last = recording.steps;
    const { actions, fps } = header;
    film = { actions, fps, pixels, draw, ...sums(recording) };
    setText(byId('replay-title'), title);
    setText(byId('replay-about'), `${sceneText(recording)}: ${courseText(recording)}`);
    byId('replay-picture').style.setProperty('--aspect', String(header.width / header.height));
    byId('replay-picture').replaceChildren(canvas);
    markRewards(recording);
    for (const kind of ['mp4', 'webp']) offer(recording.number, kind);
    slider.max = String(last);
    onOpen();
    goTo(0);
    dialog.showModal();
    if (!matchMedia('(prefers-reduced-motion: reduce)').matches) togglePlay();
  }

  /** @param {number} wish */
  function goTo(wish) {
    if (film === null) return;
    step = Math.min(Math.max(wish, 0), last);
    film.draw(film.pixels[step]);
    const reward = film.rewards.get(step) ?? (step === 0 ? null : 0);
    const rewarded = rewardBefore(step + 1);
    const sum = rewarded === undefined ? 0 : film.returns.get(rewarded);
    setText(byId('replay-steps'), `${step} of ${last}`);
    setText(byId('replay-action'), names[film.actions[step - 1]] ?? '–');
    setText(byId('replay-reward'), numberText(reward));
    setText(byId('replay-return'), numberText(sum));
    slider.value = String(step);
    slider.setAttribute('aria-valuetext', `${step} of ${last}, reward ${numberText(reward)}`);
    byId('replay-back', HTMLButtonElement).disabled = step === 0;
    byId('replay-forward', HTMLButtonElement).disabled = step === last;
    byId('replay-reward-before', HTMLButtonElement).disabled = rewardBefore(step) === undefined;
    byId('replay-reward-after', HTMLButtonElement).disabled = rewardAfter(step) === undefined;
  }

  /** @param {number} place */
  const rewardBefore = (place) => film?.rewarded.findLast((rewarded) => rewarded < place);
  /** @param {number} place */
  const rewardAfter = (place) => film?.rewarded.find((rewarded) => rewarded > place);

  function pause() {
    clearInterval(timer);
    timer = 0;
    setText(play, 'Play');
  }

  function togglePlay() {
    if (film === null) return;
    if (timer) {
      pause();
      return;
    }
    if (step === last) goTo(0);
    setText(play, 'Pause');
    timer = setInterval(() => {
      goTo(step + 1);
      if (step === last) pause();
    }, 1000 / film.fps);
  }

  /**
   * Goes to a step, if there is one, and stays there.
   * @param {number|undefined} wish
   */
  function stopAt(wish) {
    pause();
    if (wish !== undefined) goTo(wish);
  }

  /** @type {Map<string, [string, () => void]>} the key and the deed of each button */
  const deeds = new Map([
    ['replay-back', ['ArrowLeft', () => stopAt(step - 1)]],
    ['replay-forward', ['ArrowRight', () => stopAt(step + 1)]],
    ['replay-reward-before', ['Shift ArrowLeft', () => stopAt(rewardBefore(step))]],
    ['replay-reward-after', ['Shift ArrowRight', () => stopAt(rewardAfter(step))]],
    ['replay-play', ['Space', togglePlay]],
  ]);
  const keys = new Map(deeds.values());

  /** @param {KeyboardEvent} event */
  function onKeyDown(event) {
    const { code, repeat, shiftKey, ctrlKey, altKey, metaKey, target } = event;
    if (!dialog.open || ctrlKey || altKey || metaKey) return;
    const act = keys.get(shiftKey ? `Shift ${code}` : code);
    if (!act || (code === 'Space' && target instanceof Element && target.matches('button'))) return;
    event.preventDefault();
    if (!repeat || code !== 'Space') act();
  }

  for (const [id, [, act]] of deeds) byId(id).addEventListener('click', act);
  slider.addEventListener('input', () => stopAt(slider.valueAsNumber));
  byId('replay-close').addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => {
    pause();
    film = null;
    byId('replay-picture').replaceChildren();
  });
  addEventListener('keydown', onKeyDown);

  return {
    /**
     * Takes the server's hello.
     * @param {import('./protocol.js').Hello} hello
     */
    start({ actions }) {
      names = actions.map(({ name }) => name);
    },
    open,
    isOpen: () => dialog.open,
  };
}

/**
 * Each rewarded step's reward and the return up to there, and these steps in their order.
 * @param {Recording} recording
 */
function sums({ rewards }) {
  let sum = 0;
  /** @type {Map<number, number>} */
  const returns = new Map();
  for (const [step, reward] of rewards) {
    sum += reward;
    returns.set(step, sum);
  }
  return { rewards: new Map(rewards), returns, rewarded: [...returns.keys()] };
}

/**
 * Draws a line over the slider at each reward, up or down from the middle.
 * @param {Recording} recording
 */
function markRewards({ steps, rewards }) {
  const greatest = rewards.reduce((most, [, reward]) => Math.max(most, Math.abs(reward)), 0);
  /** @param {[number, number]} rewarded */
  const line = ([step, reward]) => {
    const length = Math.max(LEAST_MARK, Math.abs(reward) / greatest);
    return `M${step} 0v${-Math.sign(reward) * length}`;
  };
  /** @param {number} sign */
  const lines = (sign) => rewards.filter(([, reward]) => Math.sign(reward) === sign).map(line);
  document.querySelector('#timeline svg')?.setAttribute('viewBox', `0 -1 ${steps} 2`);
  byId('points-won', SVGPathElement).setAttribute('d', lines(1).join(''));
  byId('points-lost', SVGPathElement).setAttribute('d', lines(-1).join(''));
}

/**
 * Points the link to a recording's video there.
 * @param {number} number
 * @param {string} kind
 */
function offer(number, kind) {
  const link = byId(`replay-${kind}`, HTMLAnchorElement);
  link.href = addressOf(`recordings/${number}.${kind}`).href;
  link.download = `recording-${number}.${kind}`;
}
