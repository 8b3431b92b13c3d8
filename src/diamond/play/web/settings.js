/*
 * The panel "Dream settings": one control for each setting, with what it does to the dream in a
 * line, and a picture of the player's own to start from. A control follows the server, except while
 * the player is at it.
 */

import { byId, drawingOn, make, numberText, setText } from './page.js';

/**
 * @typedef {object} NumberSetting
 * @property {(
 *   'speed'|'horizon'|'denoising_steps'|'order'|'churn'|'start_noise'|'temperature'|'seed'|'start'
 * )} name
 * @property {string} label
 * @property {string} help what it does
 * @property {string} [unit]
 * @property {number} [step]
 * @property {boolean} [typed] whether it is typed in and not slid
 */

/** @type {NumberSetting[]} */
const SETTINGS = [
  {
    name: 'speed',
    label: 'Speed',
    unit: 'frames/s',
    help: 'How many pictures a second, if the machine can keep up.',
  },
  {
    name: 'horizon',
    label: 'Horizon',
    typed: true,
    help: 'After how many pictures the dream ends by itself. 0: never.',
  },
  {
    name: 'denoising_steps',
    label: 'Denoising steps',
    help: 'In how many steps a picture is cleared of noise. More is slower and often sharper.',
  },
  {
    name: 'order',
    label: 'Order',
    help: '1: one look at the picture in each step. 2: a second look, more exact but slower.',
  },
  {
    name: 'churn',
    label: 'Churn',
    step: 0.5,
    help: 'Fresh noise between the steps. With more the dream takes more turns of its own.',
  },
  {
    name: 'start_noise',
    label: 'Start noise',
    step: 0.05,
    help: 'How strong the noise is that a picture begins as. 1 is usual; more makes it wilder.',
  },
  {
    name: 'temperature',
    label: 'Temperature',
    step: 0.05,
    help: 'How freely the agent chooses. 1 is usual; near 0 it takes what it likes best.',
  },
  {
    name: 'seed',
    label: 'Seed',
    typed: true,
    help: 'The luck of the dream. The same seed and buttons give the same dream again.',
  },
  {
    name: 'start',
    label: 'Start',
    typed: true,
    help: 'Which recorded moment of the game the dream starts from. −1: the seed decides.',
  },
];

/**
 * @param {(message: import('./protocol.js').Request) => void} send to the server
 * @param {(text: string) => void} tell shows a notice to the player
 */
export function createSettings(send, tell) {
  /**
   * @param {string} name
   * @param {number|boolean} value
   */
  const set = (name, value) => send({ type: 'set', name, value });
  const controls = SETTINGS.map((setting) => numberControl(setting, set, tell));
  const denoising = checkControl(set);
  const picture = byId('start-image', HTMLInputElement);
  let size = { height: 1, width: 1 };
  byId('own-picture').before(...controls.map(({ row }) => row), denoising.row);

  picture.addEventListener('change', async () => {
    const file = picture.files?.[0];
    if (!file) return;
    try {
      send({ type: 'start_image', pixels: await pixelsOf(file, size) });
    } catch {
      tell('This file is no picture that the browser can read.');
    }
    picture.value = '';
  });

  return {
    /**
     * Takes the server's hello.
     * @param {import('./protocol.js').Hello} hello
     */
    start({ height, width, ranges }) {
      size = { height, width };
      for (const control of controls) control.start(ranges[control.name]);
    },

    /**
     * Shows the settings as the server has them.
     * @param {import('./protocol.js').Settings} settings
     */
    showSettings(settings) {
      for (const control of controls) control.show(settings[control.name]);
      denoising.show(settings.show_denoising);
    },

    /**
     * Opens the panel's controls to whoever drives.
     * @param {boolean} enabled
     */
    showDriver(enabled) {
      byId('settings-fields', HTMLFieldSetElement).disabled = !enabled;
    },
  };
}

/**
 * One row of the panel.
 * @param {NumberSetting} setting
 * @param {(name: string, value: number) => void} set
 * @param {(text: string) => void} tell
 */
function numberControl({ name, label, unit, typed, step = 1, help }, set, tell) {
  const id = `setting-${name}`;
  const type = typed ? 'number' : 'range';
  const input = make('input', { id, type, step: String(step) });
  input.setAttribute('aria-describedby', `${id}-help`);
  const output = make('output');
  output.setAttribute('for', id);
  const row = make(
    'div',
    { className: `setting ${type}` },
    make('label', { htmlFor: id }, label),
    input,
    ...(typed ? [] : [output]),
    make('p', { id: `${id}-help` }, help),
  );
  let current = 0;
  let edited = false;

  /** @param {number} value */
  const valueText = (value) => [numberText(value), unit].filter(Boolean).join(' ');

  /** @param {number} value */
  function show(value) {
    current = value;
    if (edited) return;
    input.value = String(value);
    setText(output, valueText(value));
  }

  function letGo() {
    edited = false;
    show(current);
  }

  input.addEventListener('input', () => {
    edited = true;
    setText(output, valueText(input.valueAsNumber));
  });
  input.addEventListener('change', () => {
    const value = input.valueAsNumber;
    edited = false;
    if (Number.isNaN(value) || !input.checkValidity()) {
      tell(`${label} is a whole number from ${input.min} to ${input.max}.`.replaceAll('-', '−'));
      show(current);
    } else {
      set(name, value);
    }
  });
  input.addEventListener('blur', letGo);
  input.addEventListener('keydown', ({ key }) => {
    if (key === 'Enter') input.blur();
  });

  return {
    name,
    row,
    show,
    /** @param {[number, number]} range */
    start([least, most]) {
      input.min = String(least);
      input.max = String(most);
    },
  };
}

/** @param {(name: string, value: boolean) => void} set */
function checkControl(set) {
  const id = 'setting-show_denoising';
  const input = make('input', { id, type: 'checkbox' });
  input.setAttribute('aria-describedby', `${id}-help`);
  input.addEventListener('change', () => set('show_denoising', input.checked));
  const row = make(
    'div',
    { className: 'setting' },
    make('label', { className: 'check', htmlFor: id }, input, ' Show denoising'),
    make('p', { id: `${id}-help` }, 'Below the picture: the noise it began as, and each step.'),
  );
  return {
    row,
    /** @param {boolean} checked */
    show(checked) {
      input.checked = checked;
    },
  };
}

/**
 * The picture in a file, cropped to the middle and scaled, as RGB bytes in base64.
 * @param {File} file
 * @param {{height: number, width: number}} size
 */
async function pixelsOf(file, { height, width }) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(bitmap.width / width, bitmap.height / height);
  const [cutWidth, cutHeight] = [scale * width, scale * height];
  const context = drawingOn(make('canvas', { width, height }));
  context.imageSmoothingQuality = 'high';
  context.drawImage(
    bitmap,
    (bitmap.width - cutWidth) / 2,
    (bitmap.height - cutHeight) / 2,
    cutWidth,
    cutHeight,
    0,
    0,
    width,
    height,
  );
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  let bytes = '';
  rgba.forEach((value, i) => {
    if (i % 4 !== 3) bytes += String.fromCharCode(value);
  });
  return btoa(bytes);
}
