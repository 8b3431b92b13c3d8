/*
 * Who plays, in which world, and when: the switches and buttons under the picture, and rewinding.
 * They ask the server for a change and then show what it says; nothing here decides anything.
 */

import { byId, setText } from './page.js';

const ANSWER_TAKES = 1000;

/**
 * @param {(message: object) => void} send to the server
 * @param {(text: string) => void} tell shows a notice to the player
 */
export function createControls(send, tell) {
  const pause = byId('pause');
  const step = byId('step');
  const record = byId('record');
  const rewinder = createRewinder(send);
  let settings = {};
  let realMissing = null;

  const set = (name, value) => send({ type: 'set', name, value });
  const togglePause = () => set('paused', !settings.paused);
  const takeStep = () => settings.paused && send({ type: 'step' });
  const reset = () => send({ type: 'reset' });
  const toggleRecording = () => !record.hidden && set('recording', !settings.recording);
  const togglePlayer = () => set('player', settings.player === 'human' ? 'agent' : 'human');

  function nextWorld() {
    const worlds = ['dream', 'real', 'both'];
    if (realMissing) tell(realMissing);
    else set('world', worlds[(worlds.indexOf(settings.world) + 1) % worlds.length]);
  }

  function showSettings(news) {
    settings = news;
    for (const radio of radios()) radio.checked = settings[radio.name] === radio.value;
    setText(pause, settings.paused ? 'Play' : 'Pause');
    step.disabled = !settings.paused;
    setText(byId('record-text'), settings.recording ? 'Recording' : 'Record');
    record.setAttribute('aria-pressed', String(settings.recording));
    byId('resync').hidden = settings.world !== 'both';
    rewinder.showPaused(settings.paused);
  }

  for (const radio of radios()) {
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

    /** Takes the server's hello. */
    start(hello) {
      realMissing = hello.real_missing;
      const hint = byId('real-missing');
      hint.hidden = !realMissing;
      setText(hint, realMissing ? `Only the dream can be played: ${realMissing}` : '');
      for (const radio of radios('world')) {
        if (radio.value === 'dream') continue;
        radio.disabled = Boolean(realMissing);
        const label = radio.closest('label');
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
      showSettings(settings);
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
      byId('controls').disabled = !enabled;
      byId('watching').hidden = watching === null;
      setText(byId('watching-text'), watching ?? '');
      byId('drive').disabled = !free;
    },
  };
}

/**
 * The radio buttons of this name, or all.
 * @param {string} [name]
 * @returns {NodeListOf<HTMLInputElement>}
 */
const radios = (name) =>
  document.querySelectorAll(name ? `input[name=${name}]` : 'input[name=player], input[name=world]');

/**
 * The slider over the frames that are kept. While it is dragged it does not follow the game, and
 * one request is on its way at a time: the next goes when a frame came back, or none for a second.
 */
function createRewinder(send) {
  const slider = byId('rewind');
  const place = { frame: 0, oldest: 0, newest: 0, paused: false };
  let dragged = false;
  let wanted = null;
  let asked = null;
  let timer = 0;

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

  const move = (by) => ask((wanted ?? place.frame) + by);

  function letGo() {
    dragged = false;
  }

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
    showPaused(paused) {
      place.paused = paused;
    },
    showFrame({ frame, oldest, newest }) {
      Object.assign(place, { frame, oldest, newest });
      goOn();
      if (dragged) return;
      slider.min = oldest;
      slider.max = newest;
      slider.value = frame;
      label(frame, newest);
    },
  };
}
