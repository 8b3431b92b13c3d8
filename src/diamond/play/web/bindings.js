/*
 * Which key, and which button of a gamepad, means which button of the game. An input is a
 * KeyboardEvent's code ("ArrowLeft") or a part of a gamepad ("Pad12", "Axis0-"). What the player
 * changed is stored in the browser, for each set of buttons of its own.
 */

import { recall, remember } from './page.js';

/** The game's buttons that are directions. */
export const DIRECTIONS = ['UP', 'DOWN', 'LEFT', 'RIGHT'];

/** @type {Map<string, string[]>} */
const PAD_DIRECTIONS = new Map([
  ['UP', ['Pad12', 'Axis1-']],
  ['DOWN', ['Pad13', 'Axis1+']],
  ['LEFT', ['Pad14', 'Axis0-']],
  ['RIGHT', ['Pad15', 'Axis0+']],
]);
const PAD_NAMES = [
  ...['A', 'B', 'X', 'Y', 'LB', 'RB', 'LT', 'RT', 'Back', 'Start', 'Left stick', 'Right stick'],
  ...['D-pad up', 'D-pad down', 'D-pad left', 'D-pad right', 'Home'],
];
const AXIS_NAMES = new Map([
  ['Axis0-', 'Stick left'],
  ['Axis0+', 'Stick right'],
  ['Axis1-', 'Stick up'],
  ['Axis1+', 'Stick down'],
  ['Axis2-', 'Right stick left'],
  ['Axis2+', 'Right stick right'],
  ['Axis3-', 'Right stick up'],
  ['Axis3+', 'Right stick down'],
]);
const KEY_NAMES = new Map([
  ['ArrowLeft', 'Left arrow'],
  ['ArrowRight', 'Right arrow'],
  ['ArrowUp', 'Up arrow'],
  ['ArrowDown', 'Down arrow'],
  ['Minus', '-'],
  ['Equal', '='],
  ['Comma', ','],
  ['Period', '.'],
  ['Slash', '/'],
  ['Semicolon', ';'],
  ['Quote', "'"],
  ['BracketLeft', '['],
  ['BracketRight', ']'],
  ['Backslash', '\\'],
  ['Backquote', '`'],
]);
const UNBINDABLE = /^$|^Unidentified$|^Escape$|^Tab$|^CapsLock$|^F\d+$|^(Control|Alt|Meta|OS)/;

/**
 * Whether the input is a part of a gamepad.
 * @param {string} input
 * @returns {boolean}
 */
export const isPadInput = (input) => /^(Pad|Axis)\d/.test(input);

/**
 * Whether a game's button may lie on this key; the browser and this page need some for themselves.
 * @param {string} code
 * @returns {boolean}
 */
export const isBindable = (code) => !UNBINDABLE.test(code);

/**
 * What to call an input.
 * @param {string} input
 * @returns {string}
 */
export function inputName(input) {
  if (isPadInput(input) && input.startsWith('Pad')) {
    const number = Number(input.slice(3));
    return PAD_NAMES[number] ?? `Button ${number}`;
  }
  const name = KEY_NAMES.get(input) ?? AXIS_NAMES.get(input);
  return name ?? input.replace(/^(Key|Digit)/, '').replace(/([a-z])(?=[A-Z\d])/g, '$1 ');
}

/**
 * The bindings of the game at hand, and the one input that is waited for while one is changed.
 */
export function createBindings() {
  let name = '';
  /** @type {Map<string, string>} button by input */
  let defaults = new Map();
  /** @type {Map<string, string>} */
  let current = new Map();
  /** @type {?((input: ?string) => void)} */
  let waiting = null;

  return {
    /**
     * Takes the server's hello.
     * @param {import('./protocol.js').Hello} hello
     */
    start({ buttons, keys }) {
      name = `keys:${[...buttons].sort().join(',')}`;
      /** @param {[string, string]} binding */
      const known = ([, button]) => buttons.includes(button);
      defaults = new Map([...Object.entries(keys).filter(known), ...padDefaults(buttons)]);
      const stored = /** @type {?Object<string, string>} */ (recall(name));
      current = stored === null ? new Map(defaults) : new Map(Object.entries(stored).filter(known));
    },

    /**
     * The game's button on this input, or undefined.
     * @param {string} input
     */
    buttonOn: (input) => current.get(input),

    /**
     * All inputs that mean this button.
     * @param {string} button
     */
    inputsOf: (button) => [...current.keys()].filter((input) => current.get(input) === button),

    /**
     * Puts a button on this input instead of its others of the same device.
     * @param {string} button
     * @param {string} input
     * @returns {?string} the button that was on the input before, if it was another one
     */
    rebind(button, input) {
      const before = current.get(input) ?? null;
      for (const [other, meant] of current) {
        if (meant === button && isPadInput(other) === isPadInput(input)) current.delete(other);
      }
      current.set(input, button);
      remember(name, Object.fromEntries(current));
      return before === button ? null : before;
    },

    /** Back to what the server and this page suggest. */
    reset() {
      current = new Map(defaults);
      remember(name, null);
    },

    /**
     * Gives the next input to `take` and not to the game; null says that it was called off.
     * @param {(input: ?string) => void} take
     */
    waitForInput(take) {
      waiting?.(null);
      waiting = take;
    },

    isWaiting: () => waiting !== null,

    /**
     * Hands over the input that was waited for, or null to call it off.
     * @param {?string} input
     */
    deliver(input) {
      const take = waiting;
      waiting = null;
      take?.(input);
    },
  };
}

/**
 * @param {string[]} buttons
 * @returns {[string, string][]} inputs with their buttons
 */
function padDefaults(buttons) {
  const others = buttons.filter((button) => !DIRECTIONS.includes(button)).slice(0, 4);
  return [
    ...[...PAD_DIRECTIONS]
      .filter(([button]) => buttons.includes(button))
      .flatMap(([button, inputs]) => inputs.map((input) => pair(input, button))),
    ...others.map((button, i) => pair(`Pad${i}`, button)),
  ];
}

/**
 * @param {string} input
 * @param {string} button
 * @returns {[string, string]}
 */
const pair = (input, button) => [input, button];
