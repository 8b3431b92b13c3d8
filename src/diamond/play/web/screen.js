/*
 * The pictures: one canvas a view, of the frame's own size, which the style sheet makes as large as
 * fits. The main views have their numbers below and say for a moment that a game is over; the
 * others, which show how a picture came out of noise, stand in a strip.
 */

import { byId, drawingOn, make, numberText, percentText, setText } from './page.js';

/** What the worlds are called. */
export const WORLDS = new Map([
  ['dream', 'Dream'],
  ['real', 'Real game'],
]);
const ENDINGS = new Map([
  ['terminated', 'Game over'],
  ['truncated', 'Time is up'],
  ['horizon', 'End of the dream'],
]);

/** @typedef {import('./protocol.js').View} View */

/**
 * @typedef {object} Shown a view on the page
 * @property {HTMLElement} figure
 * @property {(rgb: Uint8Array) => void} draw
 * @property {(view: View) => void} [describe] of a main view
 */

/**
 * @returns {{
 *   draw: (frame: import('./protocol.js').Frame) => void,
 *   describe: (header: import('./protocol.js').Header) => void,
 * }} `draw` shows a frame's pictures, `describe` what stands below them
 */
export function createScreen() {
  const main = byId('views');
  const strip = byId('strip');
  let layout = '';
  /** @type {Shown[]} */
  let views = [];

  /** @param {View[]} descriptions */
  function arrange(descriptions) {
    views = descriptions.map((view) => (WORLDS.has(view.name) ? mainView(view) : stripView(view)));
    const large = views.filter((view) => view.describe);
    const small = views.filter((view) => !view.describe);
    main.replaceChildren(...large.map((view) => view.figure));
    main.style.setProperty('--count', String(large.length));
    strip.replaceChildren(...small.map((view) => view.figure));
    strip.hidden = small.length === 0;
  }

  return {
    draw({ header, pixels }) {
      const wanted = header.views.map(({ name, height, width }) => [name, height, width]).join();
      if (wanted !== layout) arrange(header.views);
      layout = wanted;
      for (const [i, view] of views.entries()) view.draw(pixels[i]);
    },
    describe(header) {
      for (const [i, view] of views.entries()) view.describe?.(header.views[i]);
    },
  };
}

/**
 * @param {View} view
 * @returns {Shown}
 */
function mainView(view) {
  const title = WORLDS.get(view.name) ?? view.name;
  const { canvas, draw } = picture(view, title);
  const fields = { steps: 'Step', reward: 'Reward', return: 'Return', termination: 'Ends now' };
  const values = Object.keys(fields).map((name) => make('b', { dataset: { field: name } }));
  const labelled = Object.values(fields).map((label, i) =>
    make('span', {}, `${label} `, values[i]),
  );
  const ending = endingSign();
  const figure = make(
    'figure',
    { className: 'main-view' },
    make('div', { className: 'picture' }, canvas, ending.sign),
    make('figcaption', {}, make('strong', {}, title), ...labelled),
  );
  figure.style.setProperty('--aspect', String(view.width / view.height));

  /** @param {View} view */
  function describe({ steps, reward, return: sum, termination, ended }) {
    const numbers = [steps, reward, sum].map((number) => numberText(number));
    const texts = [...numbers, percentText(termination)];
    for (const [i, text] of texts.entries()) setText(values[i], text);
    ending.show(ended);
  }
  return { figure, draw, describe };
}

/**
 * @param {View} view
 * @returns {Shown}
 */
function stripView(view) {
  const { canvas, draw } = picture(view, view.name);
  return { figure: make('figure', {}, canvas, make('figcaption', {}, view.name)), draw };
}

/**
 * A canvas of the view's size, and a function that fills it with RGB pixels.
 * @param {{name: string, height: number, width: number}} view
 * @param {string} title
 * @returns {{canvas: HTMLCanvasElement, draw: (rgb: Uint8Array) => void}}
 */
export function picture({ name, height, width }, title) {
  const canvas = make('canvas', { id: `screen-${name.replace(/\W+/g, '-')}`, width, height });
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', title);
  const context = drawingOn(canvas);
  const image = context.createImageData(width, height);
  image.data.fill(255);

  /** @param {Uint8Array} rgb */
  function draw(rgb) {
    const rgba = image.data;
    for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
      rgba[to] = rgb[from];
      rgba[to + 1] = rgb[from + 1];
      rgba[to + 2] = rgb[from + 2];
    }
    context.putImageData(image, 0, 0);
  }
  return { canvas, draw };
}

/** The sign over a picture whose game is over. */
function endingSign() {
  const sign = make('p', { className: 'ending', hidden: true });

  /** @param {View['ended']} ended */
  function show(ended) {
    sign.hidden = !ended;
    if (!ended) return;
    setText(sign, ENDINGS.get(ended) ?? ended);
    sign.dataset.ended = ended;
  }
  return { sign, show };
}
