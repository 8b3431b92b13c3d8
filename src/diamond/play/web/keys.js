/*
 * The panel "Keys": which keys and which parts of a gamepad mean which button of the game, with a
 * button to change each, and the page's own keys.
 */

import { inputName, isPadInput } from './bindings.js';
import { byId, make, setText } from './page.js';

/**
 * @param {object} parts
 * @param {ReturnType<typeof import('./bindings.js').createBindings>} parts.bindings
 * @param {import('./keyboard.js').Shortcut[]} parts.shortcuts
 * @param {() => void} parts.onChange called before other keys count
 * @returns {{start: (hello: import('./protocol.js').Hello) => void}}
 */
export function createKeys({ bindings, shortcuts, onChange }) {
  const panel = byId('keys', HTMLDetailsElement);
  const note = byId('binding-note');
  /** @type {ReturnType<typeof bindingRow>[]} */
  let rows = [];
  /** @type {import('./keyboard.js').Shortcut[]} */
  let shown = [];

  function show() {
    for (const { update } of rows) update();
    byId('shortcuts').replaceChildren(...shown.flatMap((shortcut) => shortcutRow(shortcut)));
  }

  /** @param {import('./keyboard.js').Shortcut} shortcut */
  function shortcutRow({ code, label, text }) {
    const button = bindings.buttonOn(code);
    const meaning = button === undefined ? text : `${text} (the key is ${button} in this game)`;
    const row = [make('dt', {}, make('kbd', {}, label)), make('dd', {}, meaning)];
    for (const part of row) part.classList.toggle('taken', button !== undefined);
    return row;
  }

  /** @param {string} button */
  function bindingRow(button) {
    const keys = make('td');
    const pad = make('td');
    const change = make('button', { type: 'button', className: 'small' }, 'Change');
    change.setAttribute('aria-label', `Change ${button}`);
    const name = make('th', { scope: 'row' }, button);
    const row = make('tr', {}, name, keys, pad, make('td', {}, change));

    function update() {
      const inputs = bindings.inputsOf(button);
      list(
        keys,
        inputs.filter((input) => !isPadInput(input)),
      );
      list(pad, inputs.filter(isPadInput));
    }

    change.addEventListener('click', () => {
      if (row.classList.contains('waiting')) {
        bindings.deliver(null);
        return;
      }
      onChange();
      bindings.waitForInput((input) => {
        row.classList.remove('waiting');
        setText(change, 'Change');
        setText(note, input === null ? '' : rebind(button, input));
        show();
      });
      row.classList.add('waiting');
      setText(change, 'Cancel');
      setText(note, `Press a key or gamepad button for ${button}. Escape leaves it as it is.`);
    });
    return { row, update };
  }

  /**
   * @param {string} button
   * @param {string} input
   * @returns {string} what was done, for the player
   */
  function rebind(button, input) {
    onChange();
    const before = bindings.rebind(button, input);
    const done = `${inputName(input)} is ${button} now`;
    return before === null ? `${done}.` : `${done}, and no longer ${before}.`;
  }

  byId('reset-keys').addEventListener('click', () => {
    bindings.deliver(null);
    onChange();
    bindings.reset();
    setText(note, 'All keys are as they were at first.');
    show();
  });
  panel.addEventListener('toggle', () => {
    if (!panel.open) bindings.deliver(null);
  });
  addEventListener('blur', () => bindings.deliver(null));

  return {
    /**
     * Takes the server's hello.
     * @param {import('./protocol.js').Hello} hello
     */
    start(hello) {
      const { buttons } = hello;
      bindings.deliver(null);
      shown = shortcuts.filter(({ needs }) => !needs || hello[needs] !== null);
      rows = buttons.map(bindingRow);
      byId('bindings').replaceChildren(...rows.map(({ row }) => row));
      show();
    },
  };
}

/**
 * @param {HTMLElement} cell
 * @param {string[]} inputs
 */
function list(cell, inputs) {
  if (inputs.length === 0) cell.replaceChildren('none');
  else cell.replaceChildren(...inputs.map((input) => make('kbd', {}, inputName(input))));
}
