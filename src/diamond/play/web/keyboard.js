/*
 * The keyboard: keys that mean a button of the game hold it, a few others are the page's own. A
 * key that the focused control needs (text, a slider's arrows, Space on a button) is left to it; so
 * that this does not catch players with a mouse, a control that was clicked gives up the focus.
 */

import { isBindable } from './bindings.js';

/**
 * @typedef {object} Shortcut
 * @property {string} key as KeyboardEvent.key has it, in lower case
 * @property {string} code where it lies on an English keyboard
 * @property {string} label what to call the key
 * @property {string} text what it does
 * @property {() => void} act
 * @property {boolean} [repeats] whether it acts again and again while held
 * @property {keyof import('./protocol.js').Hello} [needs] what of the hello must not be null for it
 *   to be shown
 */

const TEXT = 'input[type=number]';
/** @type {[string, RegExp][]} */
const NEEDED_KEYS = [
  ['input[type=range]', /^(Arrow|Home|End|Page)/],
  ['input[type=radio]', /^(Arrow|Space)/],
  ['input[type=checkbox], input[type=file], button, summary', /^(Space|Enter|NumpadEnter)$/],
  [TEXT, /./],
];
const CLICKED = `button, summary, input:not(${TEXT})`;

/**
 * @param {object} parts
 * @param {ReturnType<typeof import('./bindings.js').createBindings>} parts.bindings
 * @param {(buttons: Iterable<string>) => void} parts.hold takes what the keys hold
 * @param {Shortcut[]} parts.shortcuts
 * @param {() => boolean} parts.isPlaying whether keys act in the game at all
 * @returns {{release: () => void}}
 */
export function createKeyboard({ bindings, hold, shortcuts, isPlaying }) {
  /**
   * Keys that went down and are ours until they go up, with the game's button or null.
   * @type {Map<string, ?string>}
   */
  const down = new Map();

  const holdDown = () => hold([...down.values()].filter((button) => button !== null));

  function release() {
    down.clear();
    hold([]);
  }

  /** @param {KeyboardEvent} event */
  function bind(event) {
    if (event.code === 'Escape' || event.code === 'Tab') bindings.deliver(null);
    if (!isBindable(event.code) || isCommand(event)) return;
    event.preventDefault();
    bindings.deliver(event.code);
    down.set(event.code, null);
  }

  /** @param {KeyboardEvent} event */
  function onKeyDown(event) {
    const { code } = event;
    if (event.repeat && down.has(code)) {
      event.preventDefault();
      return;
    }
    if (bindings.isWaiting()) {
      if (!event.repeat) bind(event);
      return;
    }
    if (isCommand(event) || !isPlaying() || isNeeded(event.target, code)) return;
    const button = bindings.buttonOn(code);
    if (button !== undefined) {
      event.preventDefault();
      if (event.repeat) return;
      down.set(code, button);
      holdDown();
      return;
    }
    const shortcut = shortcuts.find((one) => isShortcut(one, event));
    if (!shortcut) return;
    event.preventDefault();
    if (!event.repeat || shortcut.repeats) shortcut.act();
  }

  /** @param {KeyboardEvent} event */
  function onKeyUp(event) {
    // While Meta is down, macOS does not say which other keys go up.
    if (event.key === 'Meta') release();
    if (!down.has(event.code)) return;
    event.preventDefault();
    down.delete(event.code);
    holdDown();
  }

  addEventListener('keydown', onKeyDown);
  addEventListener('keyup', onKeyUp);
  document.addEventListener('focusin', () => {
    if (document.activeElement?.matches(TEXT)) release();
  });
  document.addEventListener('click', ({ detail }) => {
    if (detail > 0) setTimeout(giveUpFocus);
  });
  return { release };
}

function giveUpFocus() {
  const focused = document.activeElement;
  if (focused instanceof HTMLElement && focused.matches(CLICKED)) focused.blur();
}

/**
 * Whether the key goes to the browser or the system, like Ctrl and R.
 * @param {KeyboardEvent} event
 */
const isCommand = ({ ctrlKey, altKey, metaKey }) => ctrlKey || altKey || metaKey;

/**
 * @param {?EventTarget} target
 * @param {string} code
 */
function isNeeded(target, code) {
  if (!(target instanceof Element)) return false;
  return NEEDED_KEYS.some(([selector, codes]) => target.matches(selector) && codes.test(code));
}

/**
 * By what the key writes; on keyboards that do not write Latin letters, by where it lies.
 * @param {Shortcut} shortcut
 * @param {KeyboardEvent} event
 */
function isShortcut({ key, code }, event) {
  const isLatin = /^[\x20-\x7e]+$/.test(event.key);
  return isLatin ? event.key.toLowerCase() === key : event.code === code;
}
