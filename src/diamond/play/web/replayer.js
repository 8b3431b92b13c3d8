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

/**
 * @param {object} parts
 * @param {() => void} parts.onOpen called before the game's keys stop to count
 * @param {(text: string, isProblem: boolean) => void} parts.tell shows a notice to the player
 * @returns {{
 *   start: (hello: import('./protocol.js').Hello) => void,
 *   open: (recording: import('./protocol.js').Recording) => Promise<void>,
 *   isOpen: () => boolean,
 * }}
 */
export function createReplayer({ onOpen, tell }) {
  const dialog = byId('replay');
  const slider = byId('replay-step');
  const play = byId('replay-play');
  let names = [];
  let wanted = null;
  let film = null;
  let last = 0;
  let step = 0;
  let timer = 0;

  async function open(recording) {
    wanted = recording;
    try {
      const path = `recordings/${recording.number}`;
      const content = await ask(path, (response) => response.arrayBuffer());
      if (wanted === recording && !dialog.open) show(recording, content);
    } catch (problem) {
      tell(problem.message, true);
    }
  }

  function show(recording, content) {
    const { header, pixels } = decodeFilm(content);
    const title = `Recording ${recording.number}`;
    const { canvas, draw } = picture({ name: 'replay', ...header }, title);
    last = recording.steps;
    film = { ...header, pixels, draw, ...sums(recording) };
    setText(byId('replay-title'), title);
    setText(byId('replay-about'), `${sceneText(recording)}: ${courseText(recording)}`);
    byId('replay-picture').style.setProperty('--aspect', String(header.width / header.height));
    byId('replay-picture').replaceChildren(canvas);
    markRewards(recording);
    for (const kind of ['mp4', 'webp']) offer(recording.number, kind);
    slider.max = last;
    onOpen();
    goTo(0);
    dialog.showModal();
    if (!matchMedia('(prefers-reduced-motion: reduce)').matches) togglePlay();
  }

  function goTo(wish) {
    step = Math.min(Math.max(wish, 0), last);
    film.draw(film.pixels[step]);
    const reward = film.rewards.get(step) ?? (step === 0 ? null : 0);
    setText(byId('replay-steps'), `${step} of ${last}`);
    setText(byId('replay-action'), names[film.actions[step - 1]] ?? '–');
    setText(byId('replay-reward'), numberText(reward));
    setText(byId('replay-return'), numberText(film.returns.get(rewardBefore(step + 1)) ?? 0));
    slider.value = step;
    slider.setAttribute('aria-valuetext', `${step} of ${last}, reward ${numberText(reward)}`);
    byId('replay-back').disabled = step === 0;
    byId('replay-forward').disabled = step === last;
    byId('replay-reward-before').disabled = rewardBefore(step) === undefined;
    byId('replay-reward-after').disabled = rewardAfter(step) === undefined;
  }

  const rewardBefore = (place) => film.rewarded.findLast((rewarded) => rewarded < place);
  const rewardAfter = (place) => film.rewarded.find((rewarded) => rewarded > place);

  function pause() {
    clearInterval(timer);
    timer = 0;
    setText(play, 'Play');
  }

  function togglePlay() {
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

  /** Goes to a step, if there is one, and stays there. */
  function stopAt(wish) {
    pause();
    if (wish !== undefined) goTo(wish);
  }

  const deeds = new Map([
    ['replay-back', ['ArrowLeft', () => stopAt(step - 1)]],
    ['replay-forward', ['ArrowRight', () => stopAt(step + 1)]],
    ['replay-reward-before', ['Shift ArrowLeft', () => stopAt(rewardBefore(step))]],
    ['replay-reward-after', ['Shift ArrowRight', () => stopAt(rewardAfter(step))]],
    ['replay-play', ['Space', togglePlay]],
  ]);
  const keys = new Map(deeds.values());

  function onKeyDown(event) {
    const { code, repeat, shiftKey, ctrlKey, altKey, metaKey, target } = event;
    if (!dialog.open || ctrlKey || altKey || metaKey) return;
    const act = keys.get(shiftKey ? `Shift ${code}` : code);
    if (!act || (code === 'Space' && target.matches('button'))) return;
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
    /** Takes the server's hello. */
    start({ actions }) {
      names = actions.map(({ name }) => name);
    },
    open,
    isOpen: () => dialog.open,
  };
}

/** Each rewarded step's reward and the return up to there, and these steps in their order. */
function sums({ rewards }) {
  let sum = 0;
  const returns = new Map();
  for (const [step, reward] of rewards) {
    sum += reward;
    returns.set(step, sum);
  }
  return { rewards: new Map(rewards), returns, rewarded: [...returns.keys()] };
}

/** Draws a line over the slider at each reward, up or down from the middle. */
function markRewards({ steps, rewards }) {
  const greatest = rewards.reduce((most, [, reward]) => Math.max(most, Math.abs(reward)), 0);
  const line = ([step, reward]) => {
    const length = Math.max(LEAST_MARK, Math.abs(reward) / greatest);
    return `M${step} 0v${-Math.sign(reward) * length}`;
  };
  const lines = (sign) => rewards.filter(([, reward]) => Math.sign(reward) === sign).map(line);
  document.querySelector('#timeline svg').setAttribute('viewBox', `0 -1 ${steps} 2`);
  byId('points-won').setAttribute('d', lines(1).join(''));
  byId('points-lost').setAttribute('d', lines(-1).join(''));
}

/** Points the link to a recording's video there. */
function offer(number, kind) {
  const link = byId(`replay-${kind}`);
  link.href = addressOf(`recordings/${number}.${kind}`).href;
  link.download = `recording-${number}.${kind}`;
}
