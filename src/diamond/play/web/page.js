/*
 * Small helpers that every part of the page uses: find an element, make one, change its text only
 * where it differs, write numbers, and remember things in the browser even where that is forbidden.
 */

/**
 * The element of this id in index.html.
 * @template {Element} [Kind=HTMLElement]
 * @param {string} id
 * @param {new () => Kind} [kind] the element's class, HTMLElement by default
 * @returns {Kind}
 * @throws {TypeError} there is none, or one of another class
 */
export function byId(
  id,
  kind = /** @type {new () => Kind} */ (/** @type {unknown} */ (HTMLElement)),
) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new TypeError(`the page has no ${kind.name} #${id}`);
  return element;
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @typedef {Partial<Omit<HTMLElementTagNameMap[Tag], 'dataset'>> & {
 *   dataset?: Object<string, string>,
 * }} Properties what an element of this tag can be given
 */

/**
 * A new element with the given properties (`dataset` is merged) and children.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties<Tag>} [properties]
 * @param {...(Node|string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, { dataset, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  Object.assign(element.dataset, dataset);
  element.append(...children);
  return element;
}

/**
 * What draws on a canvas, which has no transparent pixels.
 * @param {HTMLCanvasElement} canvas
 */
export function drawingOn(canvas) {
  const context = canvas.getContext('2d', { alpha: false });
  if (context === null) throw new TypeError('this browser cannot draw');
  return context;
}

/**
 * Sets the text where it differs, so that nothing is laid out anew for nothing.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * A number with at most `digits` decimals; a dash if there is none.
 * @param {number|null|undefined} value
 * @param {number} [digits]
 * @returns {string}
 */
export function numberText(value, digits = 2) {
  if (value === null || value === undefined) return '–';
  return String(Number(value.toFixed(digits))).replace('-', '−');
}

/**
 * A number with exactly `digits` decimals, which does not jitter from frame to frame.
 * @param {number|null|undefined} value
 * @param {number} digits
 * @param {string} [unit]
 * @returns {string}
 */
export function steadyText(value, digits, unit = '') {
  if (value === null || value === undefined) return '–';
  return value.toFixed(digits).replace('-', '−') + unit;
}

/**
 * A probability as per cent; a dash if there is none.
 * @param {number|null|undefined} probability
 * @returns {string}
 */
export const percentText = (probability) =>
  probability === null || probability === undefined
    ? '–'
    : steadyText(100 * probability, probability < 0.1 ? 1 : 0, ' %');

/**
 * What was stored in the browser under this name, or null.
 * @template Content
 * @param {string} name
 * @returns {?Content}
 */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(`diamond-play:${name}`) ?? 'null');
  } catch {
    return null;
  }
}

/**
 * Stores a value in the browser; null forgets it. Where storing is forbidden nothing happens.
 * @param {string} name
 * @param {unknown} value
 */
export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(`diamond-play:${name}`);
    else localStorage.setItem(`diamond-play:${name}`, JSON.stringify(value));
  } catch {
    // A private window: the choice lasts as long as the page.
  }
}
