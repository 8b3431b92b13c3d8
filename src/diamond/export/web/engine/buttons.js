/*
 * From what a player holds to the action of the game, as in the package's play/game/buttons.py.
 */

/**
 * The action that most of the held buttons make up, all of its own buttons among them; with none
 * held, idling. Where two use equally many, the newest press decides.
 * @param {string[]} held the newest press last
 * @param {{buttons: string[]}[]} actions
 */
export function actionFor(held, actions) {
  let best = 0;
  /** @type {?number[]} */
  let bestRank = null;
  for (const [i, { buttons }] of actions.entries()) {
    const places = buttons.map((button) => held.indexOf(button)).sort((a, b) => b - a);
    if (places.includes(-1)) continue;
    const rank = [buttons.length, ...places];
    if (bestRank === null || isGreater(rank, bestRank)) [best, bestRank] = [i, rank];
  }
  return best;
}

/**
 * @param {number[]} rank
 * @param {number[]} other
 */
function isGreater(rank, other) {
  const i = rank.findIndex((value, place) => value !== other[place]);
  return i >= 0 && rank[i] > other[i];
}

/**
 * Buttons as messages tell of them, read once a frame: a tap between two frames counts in the next.
 * @param {string[]} buttons all of the game
 */
export function createPad(buttons) {
  /** @type {Set<string>} */
  let held = new Set();
  /** @type {string[]} */
  let pressed = []; // the newest press last

  return {
    /**
     * What is held now, and what has gone down since the last message.
     * @param {string[]} nowHeld
     * @param {string[]} nowPressed
     */
    update(nowHeld, nowPressed) {
      held = new Set(nowHeld.filter((button) => buttons.includes(button)));
      for (const button of nowPressed) {
        if (buttons.includes(button))
          pressed = [...pressed.filter((one) => one !== button), button];
      }
      // What is held without a press of its own was pressed before anything that was.
      pressed = [...[...held].filter((button) => !pressed.includes(button)).sort(), ...pressed];
    },

    /** Buttons held or tapped since the last reading, the newest press last. */
    read() {
      const now = pressed;
      pressed = now.filter((button) => held.has(button));
      return now;
    },
  };
}
