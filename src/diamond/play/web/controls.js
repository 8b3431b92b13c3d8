/*
 * Who plays, in which world, and when: the switches and buttons under the picture, and rewinding.
 * They ask the server for a change and then show what it says; nothing here decides anything.
 */

import { byId, setText } from './page.js';

const ANSWER_TAKES = 1000;

/** @typedef {import('./protocol.js').Settings} Settings */

/**
 * @param {(message: import('./protocol.js').Request) => void} send to the server
 * @param {(text: string) => void} tell shows a notice to the player
 */
export function createControls(send, tell) {
  const pause = byId('pause');
  const step = byId('step', HTMLButtonElement);
  const record = byId('record');
  const rewinder = createRewinder(send);
  /** @type {?Settings} */
  let settings = null;
  /** @type {?string} */
  let realMissing = null;

  /**
   * @param {string} name
   * @param {string|boolean} value
   */
  const set = (name, value) => send({ type: 'set', name, value });
  const togglePause = () => set('paused', !settings?.paused);
  const takeStep = () => settings?.paused && send({ type: 'step' });
  const reset = () => send({ type: 'reset' });
  const toggleRecording = () => !record.hidden && set('recording', !settings?.recording);
  const togglePlayer = () => set('player', settings?.player === 'human' ? 'agent' : 'human');

  function nextWorld() {
    const worlds = ['dream', 'real', 'both'];
    if (realMissing) tell(realMissing);
    else set('world', worlds[(worlds.indexOf(settings?.world ?? '') + 1) % worlds.length]);
  }

  /** @param {Settings} news */
  function showSettings(news) {
    settings = news;
    const { player, world, paused, recording } = news;
    for (const radio of radios('player')) radio.checked = radio.value === player;
    for (const radio of radios('world')) radio.checked = radio.value === world;
    setText(pause, paused ? 'Play' : 'Pause');
    step.disabled = !paused;
    setText(byId('record-text'), recording ? 'Recording' : 'Record');
    record.setAttribute('aria-pressed', String(recording));
    byId('resync').hidden = world !== 'both';
    rewinder.showPaused(paused);
  }

  for (const radio of [...radios('player'), ...radios('world')]) {
    radio.addEventListener('change', () => set(radio.name, radio.value));
  }
  pause.addEventListener('click', togglePause);
  step.addEventListener('click', takeStep);
  record.addEventListener('click', toggleRecording);
  byId('reset').addEventListener('click', reset);
  byId('resync').addEventListener('click', () => send({ type: 'resync' }));
  byId('drive').addEventListener('click', () => send({ type: 'drive' }));

  return {
    /** What the page's own keys do. */
    togglePause,
    takeStep,
    reset,
    toggleRecording,
    togglePlayer,
    nextWorld,
    back: () => rewinder.move(-1),
    forward: () => rewinder.move(1),

    /**
     * Takes the server's hello.
     * @param {import('./protocol.js').Hello} hello
     */
    start(hello) {
      realMissing = hello.real_missing;
      const hint = byId('real-missing');
      hint.hidden = !realMissing;
      setText(hint, realMissing ? `Only the dream can be played: ${realMissing}` : '');
      for (const radio of radios('world')) {
        const label = radio.closest('label');
        if (radio.value === 'dream' || label === null) continue;
        radio.disabled = Boolean(realMissing);
        label.dataset.title ??= label.title;
        label.title = realMissing ?? label.dataset.title;
      }
      rewinder.forget();
    },

    /** Shows the settings as the server has them. */
    showSettings,

    /** Shows the settings again after the server refused something. */
    refused() {
      rewinder.forget();
      if (settings) showSettings(settings);
    },

    /** Shows where a frame stands among those that can be gone back to. */
    showFrame: rewinder.showFrame,

    /**
     * Opens the controls to whoever drives.
     * @param {boolean} enabled
     * @param {?string} watching why somebody only watches; null for who drives
     * @param {boolean} free whether nobody drives
     */
    showDriver(enabled, watching, free) {
      byId('controls', HTMLFieldSetElement).disabled = !enabled;
      byId('watching').hidden = watching === null;
      setText(byId('watching-text'), watching ?? '');
      byId('drive', HTMLButtonElement).disabled = !free;
    },
  };
}

/**
 * The radio buttons of this name.
 * @param {string} name
 * @returns {NodeListOf<HTMLInputElement>}
 */
const radios = (name) => document.querySelectorAll(`input[name=${name}]`);

/**
 * The slider over the frames that are kept. While it is dragged it does not follow the game, and
 * one request is on its way at a time: the next goes when a frame came back, or none for a second.
 * @param {(message: import('./protocol.js').Request) => void} send to the server
 */
function createRewinder(send) {
  const slider = byId('rewind', HTMLInputElement);
  const place = { frame: 0, oldest: 0, newest: 0, paused: false };
  let dragged = false;
  /** @type {?number} */
  let wanted = null;
  /** @type {?number} */
  let asked = null;
  let timer = 0;

  /** @param {number} frame */
  function ask(frame) {
    wanted = Math.min(Math.max(frame, place.oldest), place.newest);
    if (asked !== null) return;
    if (wanted === place.frame && place.paused) {
      wanted = null;
      return;
    }
    asked = wanted;
    send({ type: 'rewind', to: asked });
    timer = setTimeout(goOn, ANSWER_TAKES);
  }

  function goOn() {
    const next = wanted === asked ? null : wanted;
    forget();
    if (next !== null) ask(next);
  }

  function forget() {
    clearTimeout(timer);
    wanted = null;
    asked = null;
  }

  /** @param {number} by */
  const move = (by) => ask((wanted ?? place.frame) + by);

  function letGo() {
    dragged = false;
  }

  /**
   * @param {number} frame
   * @param {number} newest
   */
  function label(frame, newest) {
    const back = newest - frame;
    setText(byId('frame-number'), String(frame));
    setText(byId('frames-back'), back === 0 ? '' : `, ${back} back`);
  }

  slider.addEventListener('input', () => {
    dragged = true;
    label(slider.valueAsNumber, Number(slider.max));
    ask(slider.valueAsNumber);
  });
  slider.addEventListener('change', letGo);
  // A slider that is let go where it was taken up reports no change.
  for (const type of ['pointerup', 'pointercancel']) addEventListener(type, letGo);
  byId('back').addEventListener('click', () => move(-1));
  byId('forward').addEventListener('click', () => move(1));

  return {
    move,
    forget,
    /** @param {boolean} paused */
    showPaused(paused) {
      place.paused = paused;
    },
    /** @param {import('./protocol.js').Header} header */
    showFrame({ frame, oldest, newest }) {
      Object.assign(place, { frame, oldest, newest });
      goOn();
      if (dragged) return;
      slider.min = String(oldest);
      slider.max = String(newest);
      slider.value = String(frame);
      label(frame, newest);
    },
  };
}
