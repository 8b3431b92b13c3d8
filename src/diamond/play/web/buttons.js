/*
 * Which of the game's buttons are held: keyboard, gamepad and touch each say what they hold, and a
 * button is held as long as any of them holds it. Whoever listens hears of changes only.
 */

/**
 * @param {(held: string[], pressed: string[]) => void} onChange gets the buttons that are held, and
 *   those that went down with this change
 * @returns {{hold: (source: string, buttons: Iterable<string>) => void}} `hold` says all that this
 *   source holds now
 */
export function createButtons(onChange) {
  /** @type {Map<string, string[]>} */
  const sources = new Map();
  /** @type {Set<string>} */
  let held = new Set();

  return {
    hold(source, buttons) {
      sources.set(source, [...buttons]);
      const before = held;
      held = new Set([...sources.values()].flat());
      const pressed = [...held].filter((button) => !before.has(button));
      if (pressed.length > 0 || held.size !== before.size) onChange([...held], pressed);
    },
  };
}
