/*
 * The game's buttons on the screen: a pad for the directions and keys for the rest. Each finger may
 * slide from one button to the next, and on the pad it holds two directions between them. Whether
 * they are shown is the player's choice, and at first whether the screen is one to touch.
 */

import { DIRECTIONS } from './bindings.js';
import { byId, make, recall, remember } from './page.js';

const ARROWS = new Map([
  ['UP', '↑'],
  ['DOWN', '↓'],
  ['LEFT', '←'],
  ['RIGHT', '→'],
]);
const DEAD_ZONE = 0.1;
const DIAGONAL = Math.tan(Math.PI / 8);

/**
 * @param {(buttons: Iterable<string>) => void} hold takes what the fingers hold
 * @returns {{
 *   start: (hello: import('./protocol.js').Hello) => void,
 *   showHeld: (held: string[]) => void,
 *   showDriver: (driver: boolean) => void,
 *   release: () => void,
 * }}
 */
export function createTouch(hold) {
  const directions = byId('touch-directions');
  const others = byId('touch-actions');
  /** @type {Map<number|'click', string[]>} buttons under each pointer */
  const fingers = new Map();
  /** @type {Map<string, HTMLElement>} */
  let elements = new Map();

  const holdAll = () => hold(new Set([...fingers.values()].flat()));

  function release() {
    fingers.clear();
    hold([]);
  }

  /** @param {string} name */
  function button(name) {
    const element = make('button', { type: 'button', dataset: { button: name } });
    element.append(ARROWS.get(name) ?? name);
    element.setAttribute('aria-label', name);
    element.addEventListener('click', ({ detail }) => {
      if (detail > 0) return; // Of a finger or mouse, which held the button already.
      fingers.set('click', [name]);
      holdAll();
      fingers.delete('click');
      holdAll();
    });
    return element;
  }

  /**
   * @param {HTMLElement} zone
   * @param {(zone: HTMLElement, x: number, y: number) => string[]} buttonsAt
   */
  function watch(zone, buttonsAt) {
    /** @param {PointerEvent} event */
    const place = (event) => {
      fingers.set(event.pointerId, buttonsAt(zone, event.clientX, event.clientY));
      holdAll();
    };
    zone.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      zone.setPointerCapture(event.pointerId);
      place(event);
    });
    zone.addEventListener('pointermove', (event) => {
      if (fingers.has(event.pointerId)) place(event);
    });
    /** @param {PointerEvent} event */
    const lift = ({ pointerId }) => {
      if (fingers.delete(pointerId)) holdAll();
    };
    zone.addEventListener('pointerup', lift);
    zone.addEventListener('pointercancel', lift);
    zone.addEventListener('lostpointercapture', lift);
    zone.addEventListener('contextmenu', (event) => event.preventDefault());
  }

  watch(directions, directionsAt);
  watch(others, buttonsUnder);
  offerChoice();

  return {
    /** Takes the server's hello. */
    start({ buttons }) {
      /** @param {string} name */
      const isDirection = (name) => DIRECTIONS.includes(name);
      elements = new Map(buttons.map((name) => [name, button(name)]));
      fill(directions, buttons.filter(isDirection), elements);
      fill(
        others,
        buttons.filter((name) => !isDirection(name)),
        elements,
      );
      const isFlat = !buttons.includes('UP') && !buttons.includes('DOWN');
      directions.classList.toggle('flat', isFlat);
    },

    showHeld(held) {
      for (const [name, element] of elements) element.classList.toggle('held', held.includes(name));
    },

    showDriver(enabled) {
      byId('touch').hidden = !enabled;
    },

    release,
  };
}

/**
 * @param {HTMLElement} zone
 * @param {string[]} names
 * @param {Map<string, HTMLElement>} elements
 */
function fill(zone, names, elements) {
  zone.replaceChildren(...names.flatMap((name) => elements.get(name) ?? []));
  zone.hidden = names.length === 0;
}

/**
 * The one or two directions in which a point lies from the middle of the pad.
 * @param {HTMLElement} zone
 * @param {number} x
 * @param {number} y
 * @returns {string[]}
 */
function directionsAt(zone, x, y) {
  const { left, top, width, height } = zone.getBoundingClientRect();
  const right = (x - left) / width - 0.5;
  const down = (y - top) / height - 0.5;
  const there = new Set(
    Array.from(zone.querySelectorAll('button'), ({ dataset }) => dataset.button),
  );
  const isFlat = !there.has('UP') && !there.has('DOWN');
  const isSteep = !there.has('LEFT') && !there.has('RIGHT');
  const [sideways, along] = [isSteep ? 0 : Math.abs(right), isFlat ? 0 : Math.abs(down)];
  if (Math.max(sideways, along) < DEAD_ZONE) return [];
  /** @type {string[]} */
  const found = [];
  if (sideways > DIAGONAL * along) found.push(right < 0 ? 'LEFT' : 'RIGHT');
  if (along > DIAGONAL * sideways) found.push(down < 0 ? 'UP' : 'DOWN');
  return found.filter((name) => there.has(name));
}

/**
 * The button under a point, if any.
 * @param {HTMLElement} zone
 * @param {number} x
 * @param {number} y
 * @returns {string[]}
 */
function buttonsUnder(zone, x, y) {
  const under = Array.from(zone.querySelectorAll('button')).find((element) => {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    return left <= x && x <= right && top <= y && y <= bottom;
  });
  const name = under?.dataset.button;
  return name === undefined ? [] : [name];
}

/** The checkbox that shows or hides the buttons; a touch shows them where nothing was chosen. */
function offerChoice() {
  const choice = byId('show-touch', HTMLInputElement);
  /** @param {boolean} shown */
  const show = (shown) => {
    choice.checked = shown;
    document.documentElement.classList.toggle('touch', shown);
  };
  show(recall('touch') ?? matchMedia('(pointer: coarse)').matches);
  choice.addEventListener('change', () => {
    remember('touch', choice.checked);
    show(choice.checked);
  });
  addEventListener('pointerdown', ({ pointerType }) => {
    if (pointerType === 'touch' && recall('touch') === null) show(true);
  });
}
