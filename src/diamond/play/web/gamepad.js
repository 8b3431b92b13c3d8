/*
 * Gamepads: asked once a screen refresh while one is connected and the page has the focus. Buttons
 * and pushed sticks are inputs like keys, and can be bound like them.
 */

const PUSHED = 0.5;

/**
 * @param {object} parts
 * @param {ReturnType<typeof import('./bindings.js').createBindings>} parts.bindings
 * @param {(buttons: Iterable<string>) => void} parts.hold takes what the gamepads hold
 * @returns {{release: () => void}}
 */
export function createGamepads({ bindings, hold }) {
  /** @type {Set<string>} */
  let before = new Set();
  let isRunning = false;

  function look() {
    const pads = connectedPads();
    isRunning = pads.length > 0;
    if (isRunning) requestAnimationFrame(look);
    const inputs = new Set(document.hasFocus() ? pads.flatMap(activeInputs) : []);
    const isSame = inputs.size === before.size && [...inputs].every((input) => before.has(input));
    if (isSame) return;
    const fresh = [...inputs].find((input) => !before.has(input));
    before = inputs;
    if (fresh && bindings.isWaiting()) bindings.deliver(fresh);
    else hold([...inputs].map(bindings.buttonOn).filter((button) => button !== undefined));
  }

  function start() {
    if (isRunning) return;
    isRunning = true;
    requestAnimationFrame(look);
  }

  addEventListener('gamepadconnected', start);
  return {
    /** Lets go of everything; what is still pressed counts again once it changes. */
    release: () => hold([]),
  };
}

function connectedPads() {
  const pads = navigator.getGamepads?.() ?? [];
  return pads.flatMap((pad) => (pad?.connected ? [pad] : []));
}

/** @param {Gamepad} pad */
function activeInputs({ axes, buttons }) {
  const pressed = buttons.flatMap((button, i) => (button.pressed ? [`Pad${i}`] : []));
  const pushed = axes.slice(0, 4).flatMap((value, i) => {
    if (Math.abs(value) < PUSHED) return [];
    return [`Axis${i}${value < 0 ? '-' : '+'}`];
  });
  return [...pressed, ...pushed];
}
