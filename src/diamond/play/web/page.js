/*
 * Small helpers that every part of the page uses: find an element, make one, change its text only
 * where it differs, write numbers, and remember things in the browser even where that is forbidden.
 */

/**
 * The element of this id; it is in index.html, which says of which kind it is.
 * @param {string} id
 * @returns {any}
 */
export const byId = (id) => document.getElementById(id);

/**
 * A new element with the given properties (`dataset` is merged) and children.
 * @param {string} tag
 * @param {Object<string, any>} [properties]
 * @param {...(Node|string)} children
 * @returns {any} of the kind of the tag
 */
export function make(tag, { dataset, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  Object.assign(element.dataset, dataset);
  element.append(...children);
  return element;
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
 * A number with at most `digits` decimals; a dash for null.
 * @param {?number} value
 * @param {number} [digits]
 * @returns {string}
 */
export function numberText(value, digits = 2) {
  if (value === null || value === undefined) return '–';
  return String(Number(value.toFixed(digits))).replace('-', '−');
}

/**
 * A number with exactly `digits` decimals, which does not jitter from frame to frame.
 * @param {?number} value
 * @param {number} digits
 * @param {string} [unit]
 * @returns {string}
 */
export function steadyText(value, digits, unit = '') {
  if (value === null || value === undefined) return '–';
  return value.toFixed(digits).replace('-', '−') + unit;
}

/**
 * A probability as per cent; a dash for null.
 * @param {?number} probability
 * @returns {string}
 */
export const percentText = (probability) =>
  probability === null || probability === undefined
    ? '–'
    : steadyText(100 * probability, probability < 0.1 ? 1 : 0, ' %');

/**
 * What was stored in the browser under this name, or null.
 * @param {string} name
 * @returns {any}
 */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(`diamond-play:${name}`));
  } catch {
    return null;
  }
}

/**
 * Stores a value in the browser; null forgets it. Where storing is forbidden nothing happens.
 * @param {string} name
 * @param {any} value
 */
export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(`diamond-play:${name}`);
    else localStorage.setItem(`diamond-play:${name}`, JSON.stringify(value));
  } catch {
    // A private window: the choice lasts as long as the page.
  }
}
